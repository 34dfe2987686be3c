"""What there is to say of a model: its folder, what is desired, and what the workers report."""

from typing import Any

from control_api.desired import Desired
from control_api.models import Models, model_uuid
from control_api.problems import ModelNotFoundError
from control_api.schemas import ModelDetails, ModelOnWorker, ThresholdsInForce
from control_api.workers import Workers
from framebus.control import ModelStatus
from framebus.errors import ModelError

_BEST_FIRST = ("loaded", "loading", "failed")


class ModelViews:
    """Looks at models.

    Args:
        models: Those there are.
        workers: Those that live.
        desired: What all workers should run.
    """

    def __init__(self, models: Models, workers: Workers, desired: Desired) -> None:
        self._models, self._workers, self._desired = models, workers, desired

    def config(self, model: str) -> dict[str, Any]:
        """A model's config.json as it is in force, and `overridden`: which keys do not come from the file.

        Where the file as it is now is not in force, `config_error` says why.

        Raises:
            ModelNotFoundError: There is no such model any more.
            ModelError: No worker has it, and its config.json is wrong.
        """
        serving = self._serving(model)
        if serving is not None and serving.config is not None:
            error = {"config_error": serving.config_error} if serving.config_error else {}
            return {**serving.config, "overridden": list(serving.overridden), **error}
        overrides = self._desired.overrides(model).model_dump(exclude_none=True)
        config = self._models.config(model).model_dump(exclude_none=True)
        return {**config, **overrides, "overridden": list(overrides)}

    def details(self, model: str) -> ModelDetails:
        """All of it."""
        reports = self._workers.reports(model)
        serving = self._serving(model)
        command = self._desired.command(model)
        config, config_error = self._config_or_error(model)
        statuses = [status for _, status in reports]
        return ModelDetails(
            uuid=model_uuid(model),
            state=min((status.state for status in statuses), key=_BEST_FIRST.index, default="unloaded"),
            version=None if serving is None else serving.version,
            desired=command is not None and command.loaded,
            thresholds=None if config is None else ThresholdsInForce.model_validate(config),
            overridden=[] if config is None else config["overridden"],
            error=next((status.error for status in statuses if status.error), None),
            config_error=next(
                (status.config_error for status in statuses if status.config_error), config_error
            ),
            workers={worker.worker: on_worker(status) for worker, status in reports},
        )

    def _serving(self, model: str) -> ModelStatus | None:
        return next((status for _, status in self._workers.reports(model) if status.state == "loaded"), None)

    def _config_or_error(self, model: str) -> tuple[dict[str, Any] | None, str | None]:
        try:
            return self.config(model), None
        except ModelNotFoundError:
            return None, None  # its folder is gone, and no worker serves it
        except ModelError as error:
            return None, str(error)


def on_worker(status: ModelStatus) -> ModelOnWorker:
    """A model on one worker, without what is the same on all."""
    return ModelOnWorker.model_validate(status.model_dump())

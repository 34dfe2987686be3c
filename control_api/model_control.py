"""Loading, unloading and configuring models on every worker, and waiting until they have done it."""

import asyncio
from collections.abc import Collection

from control_api.desired import Desired
from control_api.models import Models
from control_api.problems import ModelConflictError, UnavailableError, load_problem
from control_api.waiting import wait_until
from control_api.workers import Workers
from framebus.control import LoadCommand, ModelStatus, Overrides, WorkerStatus
from framebus.logs import get_logger

_CONFIGURE_TIMEOUT_S = 5.0

log = get_logger("api")


class ModelControl:
    """What clients may do with models.

    Args:
        models: Those there are.
        workers: Those that live.
        desired: What all of them should run.
        load_timeout_s: Longest wait for workers that load.
    """

    def __init__(self, models: Models, workers: Workers, desired: Desired, load_timeout_s: float) -> None:
        self._models, self._workers, self._desired = models, workers, desired
        self._load_timeout_s = load_timeout_s

    async def load(self, model: str, *, force: bool = False) -> None:
        """Has every live worker load a model, and waits for all of them.

        Args:
            model: Its name.
            force: Load it anew where it is loaded already, beside the one in force.

        Raises:
            ModelConflictError: A worker could not load it; what it had before, it keeps.
            UnavailableError: There is no worker, or some are not done in time.
        """
        await self._require_worker()
        generation = await self._desire([model], force=force)
        await self._wait_until_carried_out(generation)
        failures = [
            f"{why} (worker {worker.worker})"
            for worker, status in self._workers.reports(model)
            if (why := status.error) is not None and (status.state == "failed" or force)
        ]
        if failures:
            raise load_problem(failures[0])

    async def load_all(self) -> list[str]:
        """Has every live worker load every model; one that cannot be loaded does not stop the others.

        Returns:
            The names of all models.

        Raises:
            ModelConflictError: None could be loaded.
            UnavailableError: There is no worker, or some are not done in time.
        """
        await self._require_worker()
        models = await asyncio.to_thread(self._models.names)
        await self._wait_until_carried_out(await self._desire(models))
        failures = {
            model: status.error or "no reason given"
            for model in models
            for _, status in self._workers.reports(model)
            if status.state == "failed"
        }
        for model, why in failures.items():
            log.warning("model not loaded", model=model, error=why)
        if models and not any(self._workers.with_model(model) for model in models):
            raise load_problem("; ".join(dict.fromkeys(failures.values())) or "no worker has any model")
        return models

    async def load_somewhere(self, model: str, *, may_load: bool) -> None:
        """Returns once a worker has a model, and has it loaded if nobody has asked for that yet.

        Args:
            model: Its name.
            may_load: Whether the client may change what the workers run.

        Raises:
            ModelConflictError: It is not loaded and the client may not load it, or no worker could load it.
            UnavailableError: There is no worker, or none has it in time.
        """
        if self._workers.with_model(model):
            return
        await self._require_worker()
        command = self._desired.command(model)
        is_wanted = (command is not None and command.loaded) or self._workers.reports(model)
        if not is_wanted:
            if not may_load:
                raise ModelConflictError(
                    f"model {model} is not loaded, and loading it takes the admin token; "
                    f"load it first: GET /models/{model}/load"
                )
            await self._desire([model])

        def is_decided() -> bool:
            live = self._workers.live()
            return bool(not live or self._workers.with_model(model) or self._failures_everywhere(model))

        await wait_until(is_decided, self._load_timeout_s)
        if self._workers.with_model(model):
            return
        await self._require_worker()
        if why := self._failures_everywhere(model):
            raise load_problem(why[0])
        raise UnavailableError(
            f"no worker has loaded model {model} within {self._load_timeout_s:g} s; they go on, try again"
        )

    async def unload(self, model: str) -> None:
        """Has every worker give a model back, and waits for all of them.

        Raises:
            ModelConflictError: A worker reads a topic for it.
            UnavailableError: Some are not done in time.
        """
        if any(status.is_routed for _, status in self._workers.reports(model)):
            raise ModelConflictError(
                f"model {model} cannot be unloaded: frames of a topic go through it; take it out of the "
                "workers' routes first"
            )
        command = self._desired.command(model)
        if command is not None and command.loaded:
            await self._desired.load({model: LoadCommand(loaded=False, generation=command.generation)})
        if not await wait_until(lambda: not self._workers.reports(model), self._load_timeout_s):
            laggards = [worker for worker, _ in self._workers.reports(model)]
            raise UnavailableError(f"model {model} is not unloaded yet on {_names(laggards)}; it will be")

    async def override(self, model: str, changes: Overrides) -> None:
        """Changes what wins over a model's config.json, and waits until every worker that has it says so.

        Args:
            model: Its name.
            changes: Of what was set in it, None clears; what was not set stays.

        Raises:
            UnavailableError: A worker has not said so in time; it will do it.
        """
        update = {name: getattr(changes, name) for name in changes.model_fields_set}
        wanted = self._desired.overrides(model).model_copy(update=update)
        await self._desired.override(model, wanted)

        def laggards() -> list[WorkerStatus]:
            return [
                worker
                for worker, status in self._workers.reports(model)
                if status.state == "loaded" and not _is_in_force(wanted, status)
            ]

        if not await wait_until(lambda: not laggards(), _CONFIGURE_TIMEOUT_S):
            raise UnavailableError(
                f"the change is written, and not yet in force on {_names(laggards())}; it will be"
            )

    async def _require_worker(self) -> None:
        if not await self._workers.any_live():
            raise no_worker()

    def _failures_everywhere(self, model: str) -> list[str]:
        """Why no worker could load a model; empty as long as one may."""
        reports = [worker.model(model) for worker in self._workers.live()]
        failures = [status.error or "" for status in reports if status and status.state == "failed"]
        return failures if len(failures) == len(reports) else []

    async def _desire(self, models: Collection[str], *, force: bool = False) -> dict[str, int]:
        """Wants models loaded; returns for each the generation to wait for."""
        commands = {model: self._next_command(model, force=force) for model in models}
        await self._desired.load(
            {model: command for model, command in commands.items() if command != self._desired.command(model)}
        )
        return {model: command.generation for model, command in commands.items()}

    def _next_command(self, model: str, *, force: bool) -> LoadCommand:
        last = self._desired.command(model)
        if last is None:
            last = LoadCommand(loaded=True)
        has_failed = any(status.state == "failed" for _, status in self._workers.reports(model))
        # A new generation tells what workers do from now on from what they have done before.
        is_new = force or has_failed or not last.loaded
        return LoadCommand(loaded=True, generation=last.generation + is_new)

    async def _wait_until_carried_out(self, generations: dict[str, int]) -> None:
        def laggards() -> dict[str, list[WorkerStatus]]:
            live = self._workers.live()
            waiting = {
                model: [one for one in live if not _has_carried_out(one.model(model), generation)]
                for model, generation in generations.items()
            }
            return {model: late for model, late in waiting.items() if late}

        await wait_until(lambda: not laggards(), self._load_timeout_s)
        await self._require_worker()
        if late := laggards():
            which = "; ".join(f"model {model} on {_names(workers)}" for model, workers in late.items())
            raise UnavailableError(
                f"not loaded within {self._load_timeout_s:g} s: {which}; they go on, GET /models tells"
            )


def no_worker() -> UnavailableError:
    """What is said where nothing can be done."""
    return UnavailableError(UnavailableError.example)


def _has_carried_out(status: ModelStatus | None, generation: int) -> bool:
    return status is not None and status.state != "loading" and status.generation >= generation


def _is_in_force(overrides: Overrides, status: ModelStatus) -> bool:
    config = status.config or {}
    return all(
        name not in status.overridden if value is None else config.get(name) == value
        for name, value in overrides.model_dump().items()
    )


def _names(workers: Collection[WorkerStatus]) -> str:
    return f"worker {', '.join(worker.worker for worker in workers)}"

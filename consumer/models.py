"""The models of a worker: which it should have, and how it comes to have them."""

import threading
from collections.abc import Callable, Collection, Iterator

from consumer.engines.engine import EngineReport, create_engine
from consumer.inference import Inference
from consumer.memory import available_bytes, resident_bytes
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.worker_model import WorkerModel
from framebus.control import DesiredState, LoadCommand, ModelStatus, Overrides
from framebus.errors import ModelError
from framebus.logs import get_logger
from framebus.model_repository import ModelRepository, StoredModel
from framebus.settings import Settings

# A graph in memory, in multiples of its file, where nothing was measured yet: its constants are parsed, and
# copied for the runtime.
_MEMORY_PER_FILE = 3
_WAIT_S = 0.2

log = get_logger("models")


class Models:
    """Loads, unloads and reloads models as is desired, one at a time.

    Those of routes are loaded by `load_routed`, and run in pipelines. The others are loaded by the thread
    that calls `run`, and answer one-off predictions only.

    Args:
        settings: All settings.
        metrics: The consumer's.
        engine_name: Wins over the engines that the models' config.json name.
        available_bytes: Says how much memory may still be taken.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: ConsumerMetrics,
        *,
        engine_name: str | None = None,
        available_bytes: Callable[[], int] = available_bytes,
    ) -> None:
        self._settings = settings
        self._repository = ModelRepository(settings.models_dir)
        self._metrics = metrics
        self._engine_name = engine_name
        self._available_bytes = available_bytes
        self._desired = DesiredState()
        self._models: dict[str, WorkerModel] = {}
        self._changed = threading.Condition()
        self.has_settled = False
        """Whether all that was desired at first has been tried."""
        self.changes = 0
        """How often something changed that a beat tells of."""

    def check(self, name: str) -> None:
        """Looks at a model's files without loading it.

        Raises:
            ModelError: It cannot be loaded.
        """
        model = self._repository.open(name)
        create_engine(model, self._settings, name=self._engine_name)
        if 0 < model.thresholds.confidence < 1:
            log.warning(
                "the model's confidence is below 1 %, and in config.json it is written in percent",
                model=name,
                confidence=model.thresholds.confidence,
            )

    def load_routed(self, name: str) -> ModelHost:
        """Loads a model of a route.

        Raises:
            ModelError: It cannot be loaded.
        """
        with self._changed:
            model = self._add(name, is_routed=True)
            generation = self._desired.load(name).generation
        error: str | None = None
        try:
            return self._try_to_load(model)
        except ModelError as refused:
            error = str(refused)
            raise
        finally:
            self._note(model, generation, error)

    def attach(self, name: str, inference: Inference) -> None:
        """Names the engine stage of a model of a route."""
        self._models[name].inference = inference

    def want(self, desired: DesiredState) -> None:
        """Takes what is desired from now on; thresholds are in force at once, the rest follows."""
        with self._changed:
            self._desired = desired.copy()
            for model in self._models.values():
                model.override(self._desired.overrides.get(model.name, Overrides()))
            self.changes += 1
            self._changed.notify_all()

    def watch_configs(self) -> None:
        """Puts changes of config.json in force."""
        for model in list(self._models.values()):
            model.watch_config()

    def serving(self, name: str) -> Inference | None:
        """The engine stage of a model that is loaded."""
        model = self._models.get(name)
        return None if model is None else model.inference

    @property
    def longest_call_s(self) -> float:
        """How long the longest engine call outside of pipelines has taken so far; 0 while none runs."""
        stages = [model.inference for model in list(self._models.values()) if not model.is_routed]
        return max((stage.longest_call_s for stage in stages if stage is not None), default=0)

    def statuses(self) -> tuple[ModelStatus, ...]:
        """What to say of each model."""
        models = dict(self._models)
        return tuple(models[name].status() for name in sorted(models))

    def run(self, stop: threading.Event) -> None:
        """Does what is desired, until told to stop."""
        while not stop.is_set():
            with self._changed:
                model, command = next(self._due(), (None, None))
                if model is None or command is None:
                    self.has_settled = True
                    self._changed.wait(_WAIT_S)
                    continue
            if command.loaded:
                self._load(model, command.generation)
            else:
                self._unload(model)

    def close(self, hanging: Collection[str] = ()) -> None:
        """Frees what is loaded, but for those models whose calls may hang."""
        for model in list(self._models.values()):
            if model.name not in hanging:
                self._unload(model)

    def _due(self) -> Iterator[tuple[WorkerModel, LoadCommand]]:
        for name, command in self._desired.loads.items():
            model = self._models.get(name)
            if command.loaded and model is None:
                yield self._add(name, is_routed=False), command
            elif command.loaded and model is not None and command.generation > model.generation:
                yield model, command
        for model in self._models.values():
            if not model.is_routed and not self._desired.load(model.name).loaded:
                yield model, LoadCommand(loaded=False)

    def _add(self, name: str, *, is_routed: bool) -> WorkerModel:
        if name not in self._models:
            folder = self._repository.directory / name
            model = self._models[name] = WorkerModel(
                name, folder, self._metrics, is_routed=is_routed, engine_name=self._engine_name
            )
            model.override(self._desired.overrides.get(name, Overrides()))
        return self._models[name]

    def _load(self, model: WorkerModel, generation: int) -> None:
        log.info("loading model", model=model.name, generation=generation)
        model.is_loading = True
        error: str | None = None
        try:
            self._try_to_load(model)
        except ModelError as refused:
            error = str(refused)
        except Exception as unknown:  # of an engine's own; desired on all workers, it would end them all
            log.exception("an engine failed to load a model", model=model.name)
            error = f"Error loading model: {type(unknown).__name__}: {unknown}"
        self._note(model, generation, error)

    def _note(self, model: WorkerModel, generation: int, error: str | None) -> None:
        # The error first: who sees the generation done looks at it.
        model.error, model.is_loading, model.generation = error, False, generation
        self.changes += 1
        self._metrics.model_loaded.labels(model.name).set(model.host is not None)
        self._metrics.model_failed.labels(model.name).set(error is not None)
        if error is not None:
            stays = None if model.host is None else model.host.in_force.version
            log.error("model not loaded", model=model.name, error=error, stays_in_force=stays)

    def _try_to_load(self, model: WorkerModel) -> ModelHost:
        stored = self._repository.open(model.name)
        engine = create_engine(stored, self._settings, name=self._engine_name)
        self._check_memory(model, stored)
        before_bytes = resident_bytes()
        engine.load()
        model.load_bytes = max(model.load_bytes, resident_bytes() - before_bytes)
        host = model.put_in_force(stored, engine, self._settings.consumer.max_batch_delay_ms / 1000)
        _log_loaded(stored, engine.device, host.report)
        return host

    def _check_memory(self, model: WorkerModel, stored: StoredModel) -> None:
        need_bytes = max(model.load_bytes, _MEMORY_PER_FILE * stored.graph.stat().st_size)
        free_bytes = self._available_bytes()
        if need_bytes > free_bytes:
            beside = "" if model.host is None else " beside the one in force"
            raise ModelError(
                f"too little memory to load model {model.name}{beside}: it takes some "
                f"{need_bytes // 2**20} MiB, and {free_bytes // 2**20} MiB are free; unload another model "
                "first, or give the worker more memory"
            )

    def _unload(self, model: WorkerModel) -> None:
        with self._changed:  # another thread may be looking at them all
            self._models.pop(model.name, None)
            self.changes += 1
        model.close()
        self._metrics.tell_unloaded(model.name)
        log.info("model unloaded", model=model.name)


def _log_loaded(model: StoredModel, device: str, report: EngineReport) -> None:
    log.info(
        "model loaded",
        model=model.name,
        version=model.version,
        device=device,
        engine=report.engine,
        precision=report.precision,
    )
    if report.fallback is not None:
        log.warning("the model does not run as was asked", model=model.name, why=report.fallback)
    if report.precision == "bf16":
        log.warning(
            "the model computes in bf16, as its config.json asks: scores shift, and detections near the "
            "threshold come and go",
            model=model.name,
        )

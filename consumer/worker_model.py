"""One model on this worker: what serves, what is in force for it, and what came of the last load."""

import threading
from collections.abc import Hashable
from pathlib import Path
from typing import Literal

from consumer.engines.engine import DetectionEngine
from consumer.inference import Inference
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.stages import Stages
from framebus.control import ModelStatus, Overrides
from framebus.detections import Thresholds
from framebus.errors import ModelError
from framebus.logs import get_logger
from framebus.model_config import ModelConfig, config_stamp, read_model_config
from framebus.model_repository import StoredModel

_STAGE_END_S = 5.0
_UNREAD = object()

log = get_logger("models")


class WorkerModel:
    """A model that a worker has, is loading, or could not load.

    Args:
        name: The model.
        folder: Where its files are.
        metrics: The consumer's.
        is_routed: It runs in a pipeline; else it gets an engine stage of its own, for one-off predictions.
        engine_name: Wins over the engine that config.json names, for as long as the process lives.

    Attributes:
        generation: The highest load that was carried out, well or not.
        error: Why the last load failed; None if it did not.
        is_loading: Whether it is being loaded now.
        host: What serves; None if nothing does.
        inference: The engine stage; None before there is one.
        load_bytes: Memory that loading it took, as far as that was measured.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        metrics: ConsumerMetrics,
        *,
        is_routed: bool,
        engine_name: str | None = None,
    ) -> None:
        self.name = name
        self.is_routed = is_routed
        self.generation = 0
        self.error: str | None = None
        self.is_loading = True
        self.host: ModelHost | None = None
        self.inference: Inference | None = None
        self.load_bytes = 0
        self._folder = folder
        self._engine = {} if engine_name is None else {"inference_engine_name": engine_name}
        self._metrics = metrics
        self._stages = Stages(name, self._engine_failed)
        # Guards what is in force: commands and config.json come on one thread, loads on another.
        self._lock = threading.Lock()
        self._config: ModelConfig | None = None
        self._config_error: str | None = None
        self._config_stamp: Hashable = _UNREAD
        self._overrides = Overrides()
        self._counted = (0, 0)

    def put_in_force(
        self, model: StoredModel, engine: DetectionEngine, max_batch_delay_s: float
    ) -> ModelHost:
        """Has a version serve from now on, instead of the one before."""
        with self._lock:
            self._config = model.config
            self._config_stamp = _UNREAD  # what was written there while this one loaded is read next
            self._tell_config(None)
            if self.host is not None:
                self.host.replace(model, engine, self._thresholds(model.config))
            else:
                self.host = ModelHost(model, engine)
                self._set_thresholds()
            self._metrics.tell_engine(self.name, self.host.report)
        if self.inference is None and not self.is_routed:
            inference = Inference(host=self.host, max_batch_delay_s=max_batch_delay_s, metrics=self._metrics)
            self._stages.start("engine", inference.run, self.host.concurrency)
            self.inference = inference
        return self.host

    def _engine_failed(self, error: BaseException) -> None:
        log.error("failed, ending", what=threading.current_thread().name, error=str(error) or repr(error))

    def override(self, overrides: Overrides) -> None:
        """Takes what wins over config.json from now on."""
        with self._lock:
            self._overrides = overrides
            self._set_thresholds()

    def watch_config(self) -> None:
        """Puts a change of config.json in force; of one that is wrong, nothing."""
        stamp = config_stamp(self._folder)
        if self.host is None or stamp == self._config_stamp:
            return
        self._config_stamp = stamp
        try:
            config = read_model_config(self._folder)
        except (ModelError, OSError) as error:
            self._tell_config(str(error))
            log.warning("config.json is wrong, the earlier one stays", model=self.name, error=str(error))
            return
        with self._lock:
            self._config = config
            self._set_thresholds()
        self._tell_config(None)

    def _tell_config(self, error: str | None) -> None:
        self._config_error = error
        self._metrics.config_refused.labels(self.name).set(error is not None)

    def _thresholds(self, config: ModelConfig) -> Thresholds:
        return self._overrides.over(Thresholds(config.confidence, config.predictions))

    def _set_thresholds(self) -> None:
        if self.host is None or self._config is None:
            return
        thresholds = self._thresholds(self._config)
        if thresholds != self.host.in_force.thresholds:
            self.host.set_thresholds(thresholds)
            log.info(
                "thresholds changed",
                model=self.name,
                confidence=thresholds.confidence,
                predictions=thresholds.predictions,
            )

    def close(self) -> None:
        """Answers what waits for the engine, and frees it."""
        has_ended = True
        if not self.is_routed and self.inference is not None:
            self.inference.close()
            has_ended = self._stages.join(_STAGE_END_S)
        if self.host is not None and has_ended:  # else a call may hang in there
            self.host.close()

    def status(self) -> ModelStatus:
        """What to say of it with the next beat."""
        generation, state = self.generation, self._state()  # first: what came of it is known by then
        with self._lock:
            host, config, overrides = self.host, self._config, self._overrides
        report = None if host is None else host.report
        shown = None
        if host is not None and config is not None:
            thresholds = host.in_force.thresholds
            shown = {
                **config.model_dump(exclude_unset=True),
                **self._engine,
                "confidence": thresholds.confidence,
                "predictions": thresholds.predictions,
            }
        return ModelStatus(
            name=self.name,
            state=state,
            version=None if host is None else host.in_force.version,
            generation=generation,
            error=self.error,
            is_routed=self.is_routed,
            config=shown,
            overridden=(*self._engine, *overrides.model_dump(exclude_none=True)),
            config_error=self._config_error,
            device=None if host is None else host.device,
            engine=None if report is None else report.engine,
            precision=None if report is None else report.precision,
            fallback=None if report is None else report.fallback,
            batch_fill=self._batch_fill(),
            lag_frames=self._metrics.lag_frames(self.name) if self.is_routed else None,
        )

    def _state(self) -> Literal["loading", "loaded", "failed"]:
        if self.inference is not None:
            return "loaded"
        return "loading" if self.is_loading or self.host is not None else "failed"

    def _batch_fill(self) -> float | None:
        """Pictures per call since this was last asked, as a share of the batch size."""
        if self.inference is None:
            return None
        calls, pictures = counted = self.inference.calls, self.inference.pictures
        calls, pictures = calls - self._counted[0], pictures - self._counted[1]
        self._counted = counted
        return round(pictures / (calls * self.inference.host.batch_size), 2) if calls else None

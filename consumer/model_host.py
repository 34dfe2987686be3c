"""A loaded model: its engine, what is in force for it, and how a newer version takes its place."""

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from consumer.engines.engine import DetectionEngine, EngineReport
from framebus.detections import Detections, Thresholds
from framebus.errors import DetectionError
from framebus.frames import Image
from framebus.logs import get_logger
from framebus.model_repository import StoredModel
from framebus.wire import ModelInForce

log = get_logger("models")

Result = Detections | DetectionError
"""What an engine call says of one picture: its detections that pass the thresholds, or why it has none."""


class _Running:
    """An engine, and how many calls use it."""

    def __init__(self, engine: DetectionEngine) -> None:
        self.engine = engine
        self.report = engine.report
        self.slots = threading.Semaphore(engine.concurrency)
        self.calls = 0


@dataclass(frozen=True, slots=True)
class Detected:
    """What came of one engine call.

    Attributes:
        model: What was in force for it.
        results: One per picture, in the same order.
    """

    model: ModelInForce
    results: list[Result]


class ModelHost:
    """Holds a model and what is in force for it; both may change while pictures run.

    Args:
        model: As it stands in the repository.
        engine: Its engine, loaded.
    """

    def __init__(self, model: StoredModel, engine: DetectionEngine) -> None:
        self._lock = threading.Lock()
        self._running = _Running(engine)
        self._in_force = ModelInForce(model.name, model.version, model.thresholds, model.labels)

    @property
    def in_force(self) -> ModelInForce:
        """The model's name, version, labels and thresholds as of now."""
        return self._in_force

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Changes what counts as a detection, from the next engine call on."""
        with self._lock:
            self._in_force = replace(self._in_force, thresholds=thresholds)

    def replace(self, model: StoredModel, engine: DetectionEngine, thresholds: Thresholds) -> None:
        """Puts another version in force, from the next engine call on; calls of the old one end well."""
        with self._lock:
            old, self._running = self._running, _Running(engine)
            self._in_force = ModelInForce(model.name, model.version, thresholds, model.labels)
            is_idle = old.calls == 0
        if is_idle:
            _close(old.engine)

    @property
    def batch_size(self) -> int:
        """Pictures per call that the engine likes best."""
        return self._running.engine.preferred_batch_size

    @property
    def concurrency(self) -> int:
        """Calls at once that the engine takes."""
        return self._running.engine.concurrency

    @property
    def device(self) -> str:
        """What the model runs on."""
        return self._running.engine.device

    @property
    def report(self) -> EngineReport:
        """What runs the model, and why that."""
        return self._running.report

    def batch_key(self, image: Image) -> Hashable:
        """Pictures with equal keys may share a call."""
        return self._running.engine.batch_key(image)

    def detect(self, images: Sequence[Image]) -> Detected:
        """Runs the engine once; if that fails, once for each picture alone."""
        with self._lock:
            running, model = self._running, self._in_force
            running.calls += 1
        try:
            with running.slots:  # more threads may call than a newer engine takes
                return Detected(model, _detect(running.engine, images, model.thresholds))
        finally:
            with self._lock:
                running.calls -= 1
                was_last = running is not self._running and running.calls == 0
            if was_last:
                _close(running.engine)

    def close(self) -> None:
        """Frees the device; no call is made after."""
        _close(self._running.engine)


def _close(engine: DetectionEngine) -> None:
    try:
        engine.close()
    except Exception:  # of an engine's own; what serves, or comes after it, has no part in it
        log.exception("an engine failed to free its device")


def _detect(engine: DetectionEngine, images: Sequence[Image], thresholds: Thresholds) -> list[Result]:
    # Those that were queued for an engine before this one may be such as this one keeps apart.
    may_share = len({engine.batch_key(image) for image in images}) == 1
    try:
        if may_share:
            found = engine.detect(images, thresholds.confidence / 100)
            return [detections.keep(thresholds) for detections in found]
    except DetectionError as error:
        if len(images) == 1:
            return [error]
    return [result for image in images for result in _detect(engine, [image], thresholds)]

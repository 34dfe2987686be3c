"""Runs a model with the fastest of the engines that give the results of the whole graph."""

import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module

import numpy as np

from consumer.engines.engine import DetectionEngine, EngineReport
from consumer.engines.placement import has_gpu
from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.detections import Detections
from framebus.errors import FramebusError
from framebus.frames import Image
from framebus.logs import get_logger
from framebus.model_repository import StoredModel
from framebus.settings import Settings

_PICTURE_SHAPE = (576, 768, 3)
_WARM_UP_CALLS = 2
_ROUNDS = 5
_ROUND_S = 0.15
_LEAST_SCORE = 0.5
# What TensorFlow has to be faster by: so short a measurement errs by as much, beside others that are at work.
_CLEARLY = 0.7

log = get_logger("engines")


class AutoEngine:
    """The cut graph with OpenVINO, unless that is missing, not exact, or slower than TensorFlow here."""

    def __init__(self, model: StoredModel, settings: Settings) -> None:
        self._model = model
        self._settings = settings
        self._picked: DetectionEngine = TensorFlowDetectionEngine(model, settings)
        self._report = EngineReport("auto")

    @property
    def preferred_batch_size(self) -> int:
        """As the engine that was picked likes it."""
        return self._picked.preferred_batch_size

    @property
    def concurrency(self) -> int:
        """As the engine that was picked likes it."""
        return self._picked.concurrency

    @property
    def device(self) -> str:
        """What the engine that was picked runs on."""
        return self._picked.device

    @property
    def report(self) -> EngineReport:
        """Which engine was picked, and what was measured."""
        return self._report

    def load(self) -> None:
        """Loads the engines that there are, times them, and keeps one.

        Raises:
            ModelError: Names the graph's file, what is wrong and the remedy.
        """
        whole = self._picked
        try:
            import_module("openvino")
        except ImportError as error:
            whole.load()
            # On a GPU, TensorFlow is what one would want.
            lacking = f"OpenVINO cannot be used: {error}; install framebus with its extra `cpu`"
            on_gpu = has_gpu(self._settings.tensorflow)
            self._report = replace(whole.report, fallback=None if on_gpu else lacking)
            return
        from consumer.engines.openvino_detection import NAME, OpenVinoDetectionEngine

        cut = OpenVinoDetectionEngine(self._model, self._settings)
        cut.load()
        self._picked, self._report = cut, cut.report
        if cut.report.engine != NAME:  # it runs the whole graph itself
            return
        try:
            whole.load()
            cut_ms, whole_ms = _ms_per_image([cut, whole])
        except FramebusError:
            whole.close()
            cut.close()
            raise
        slower: DetectionEngine = whole
        if whole_ms < _CLEARLY * cut_ms:
            self._picked, slower = whole, cut
        slower.close()
        times_ms = {cut.report.engine: cut_ms, whole.report.engine: whole_ms}
        self._report = replace(self._picked.report, ms_per_image=times_ms)
        log.info(
            "picked an engine", model=self._model.name, engine=self._report.engine, ms_per_image=times_ms
        )

    def batch_key(self, image: Image) -> Hashable:
        """See the engine that was picked."""
        return self._picked.batch_key(image)

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        """See the engine that was picked."""
        return self._picked.detect(images, least_score)

    def close(self) -> None:
        """Frees the device."""
        self._picked.close()


def _ms_per_image(engines: Sequence[DetectionEngine]) -> list[float]:
    """Times engines in turn, each with calls of the size, and so many at once, as it likes best."""
    picture = np.random.default_rng(0).integers(0, 256, _PICTURE_SHAPE, np.uint8)
    for engine in engines:
        for _ in range(_WARM_UP_CALLS):
            engine.detect([picture] * engine.preferred_batch_size, _LEAST_SCORE)
    rounds = [[_round_ms(engine, picture) for engine in engines] for _ in range(_ROUNDS)]
    return [round(min(times_ms), 2) for times_ms in zip(*rounds, strict=True)]


def _round_ms(engine: DetectionEngine, picture: Image) -> float:
    batch = [picture] * engine.preferred_batch_size
    began_s = time.monotonic()

    def call_often(_: int) -> int:
        count = 0
        while count == 0 or time.monotonic() < began_s + _ROUND_S:
            engine.detect(batch, _LEAST_SCORE)
            count += 1
        return count

    with ThreadPoolExecutor(engine.concurrency) as threads:
        calls = sum(threads.map(call_often, range(engine.concurrency)))
    return 1000 * (time.monotonic() - began_s) / (calls * len(batch))

"""The engine of a slow model; consumers find it by its entry point."""

import time
from collections.abc import Sequence

from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.detections import Detections
from framebus.frames import Image

SLOWNESS = 10
"""How many times as long as without this a call takes."""


class SlowEngine(TensorFlowDetectionEngine):
    """Sleeps after each call, as if another device were at work, for that takes no core from other models."""

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        """Finds the same, later."""
        started_s = time.monotonic()
        detections = super().detect(images, least_score)
        time.sleep((time.monotonic() - started_s) * (SLOWNESS - 1))
        return detections

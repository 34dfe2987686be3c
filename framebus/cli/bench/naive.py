"""The naive loop, as the service did it that this one succeeds: one picture a call, one after the other."""

import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.window import call_cost
from framebus.detections import label_of
from framebus.frames import Image
from framebus.model_repository import ModelRepository


class NaiveLoop:
    """JPEG in, JSON out, with no bus; in a process of its own (`child.Child`).

    Args:
        models_dir: Where the model lies.
        model: Its name.
        video: Where the frames come from.
    """

    def __init__(self, models_dir: Path, model: str, video: Path) -> None:
        from consumer.engines.bare_session import BareSession

        self._model = ModelRepository(models_dir).open(model)
        self._session = BareSession(self._model.graph)
        self._jpegs = read_footage(video).jpegs

    def measure(self, seconds: float) -> dict[str, float]:
        """Decodes, detects and writes one frame after the other, for so long.

        Returns:
            fps and cpu_ms_per_frame.
        """
        cost = call_cost(lambda number: self.answer(self._jpegs[number % len(self._jpegs)]), seconds)
        return {"fps": 1 / cost.wall_s, "cpu_ms_per_frame": 1000 * cost.cpu_s}

    def answer(self, jpeg: bytes) -> str:
        """What the loop makes of one picture."""
        image = self._session.fitted(_decode(jpeg))
        boxes, scores, classes, count = (output[0] for output in self._session.run(image[np.newaxis]))
        height, width = image.shape[:2]
        thresholds = self._model.thresholds
        found: list[dict[str, Any]] = []
        for box, score, class_id in list(zip(boxes, scores, classes, strict=True))[: int(count)]:
            if score * 100 < thresholds.confidence or len(found) == thresholds.predictions:
                continue
            top, left, bottom, right = (float(edge) for edge in box)
            found.append(
                {
                    "ObjectClassName": label_of(int(class_id), self._model.labels),
                    "ObjectClassId": int(class_id),
                    "confidence": float(score) * 100,
                    "coordinates": {
                        "left": int(left * width),
                        "top": int(top * height),
                        "right": int(right * width),
                        "bottom": int(bottom * height),
                    },
                }
            )
        return json.dumps({"data": {"bounding-boxes": found}, "error": "", "success": True})


def _decode(jpeg: bytes) -> Image:
    """Decodes with Pillow, as that service did; with OpenCV where it is not installed."""
    if find_spec("PIL") is not None:
        from PIL import Image as Pillow

        return np.asarray(Pillow.open(io.BytesIO(jpeg)).convert("RGB"))
    import cv2

    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded is not None  # we made it
    return decoded.astype(np.uint8, copy=False)

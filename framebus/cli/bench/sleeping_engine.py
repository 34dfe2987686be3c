"""An engine that sleeps: it takes time, as a GPU does, and none of a core's.

Only a process that is started for a measurement knows of it: it comes with a distribution of its own, on a
path that nobody else has.
"""

import json
import os
import time
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from consumer.engines.engine import ENTRY_POINTS, EngineReport
from framebus.detections import Detections
from framebus.frames import Image
from framebus.model_repository import GRAPH, StoredModel
from framebus.settings import Settings

BATCH = 8
"""Pictures per call."""

_ENGINE = "bench_sleep"
_CALL_MS = "call_ms"
_DISTRIBUTION = f"{_ENGINE}-1.0.dist-info"


class SleepingEngine:
    """Finds one object in every picture, and sleeps as long as its model's config.json says."""

    preferred_batch_size = BATCH
    concurrency = 1
    device = "none"
    report = EngineReport(_ENGINE)

    def __init__(self, model: StoredModel, settings: Settings) -> None:  # noqa: ARG002 - as every engine
        self._call_s = (model.config.model_extra or {})[_CALL_MS] / 1000

    def load(self) -> None:
        """There is nothing to load."""

    def close(self) -> None:
        """There is nothing to free."""

    def batch_key(self, image: Image) -> Hashable:
        """Pictures of one size share a call, as they would have to elsewhere."""
        return image.shape

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:  # noqa: ARG002
        """Sleeps, however many pictures there are."""
        time.sleep(self._call_s)
        return [_one_object(image) for image in images]


def _one_object(image: Image) -> Detections:
    height, width, _ = image.shape
    return Detections(
        boxes=np.array([[0, 0, width, height]], np.float32),
        scores=np.ones(1, np.float32),
        class_ids=np.ones(1, np.int32),
        width=width,
        height=height,
    )


def install_sleeping_engine(directory: Path) -> dict[str, str]:
    """Makes the distribution that brings the engine.

    Args:
        directory: Where it is put; empty.

    Returns:
        The environment of a process that is to have it.
    """
    metadata = directory / _DISTRIBUTION
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_ENGINE}\nVersion: 1.0\n")
    entry_point = f"{_ENGINE} = {SleepingEngine.__module__}:{SleepingEngine.__name__}"
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{entry_point}\n")
    paths = [str(directory), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def make_sleeping_model(models_dir: Path, name: str, call_ms: float) -> None:
    """Makes the folder of a model whose calls take so long."""
    folder = models_dir / name
    folder.mkdir()
    (folder / GRAPH).write_bytes(b"its engine does not read it")
    (folder / "object-detection.pbtxt").write_text("item { id: 1 name: 'object' }")
    config = {"inference_engine_name": _ENGINE, "confidence": 50, "predictions": 10, _CALL_MS: call_ms}
    (folder / "config.json").write_text(json.dumps(config))

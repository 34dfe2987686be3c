"""An engine for consumer processes that refuses one kind of picture, dies of another, hangs over a third."""

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from consumer.engines.engine import ENTRY_POINTS
from framebus.detections import Detections
from framebus.frames import Image
from framebus.images import encode_jpeg
from framebus.model_repository import StoredModel
from framebus.settings import Settings
from tests.engines import ScriptedEngine

ENGINE = "deadly"
# As large as the pictures of `tests.pictures`, so that they may share a batch with them.
KILLS = encode_jpeg(np.full((48, 64, 3), 0, np.uint8))
HANGS = encode_jpeg(np.full((48, 64, 3), 255, np.uint8))
REFUSES = encode_jpeg(np.full((48, 64, 3), 128, np.uint8))


class DeadlyEngine(ScriptedEngine):
    """Finds one object in every other picture."""

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        """See the class."""
        if any(image.max() < 8 for image in images):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(image.min() > 247 for image in images):
            threading.Event().wait()
        return super().detect(images, least_score)


def deadly_engine(model: StoredModel, settings: Settings) -> DeadlyEngine:
    """What the entry point names."""
    return DeadlyEngine(poison=lambda image: int(image.max()) - int(image.min()) < 8)


def install_deadly_engine(directory: Path) -> Path:
    """Makes a distribution that brings the engine; returns what is to be added to the path of imports."""
    metadata = directory / f"{ENGINE}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {ENGINE}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[{ENTRY_POINTS}]\n{ENGINE} = {deadly_engine.__module__}:{deadly_engine.__name__}\n"
    )
    return directory

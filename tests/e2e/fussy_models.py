"""Models whose engine, found by its entry point, refuses every picture until somebody mends them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from consumer.engines.engine import ENTRY_POINTS
from framebus.detections import Detections
from framebus.errors import DetectionError
from framebus.frames import Image
from framebus.model_repository import StoredModel
from framebus.settings import Settings
from tests.engines import ScriptedEngine

_ENGINE = "fussy"
_MENDED = "mended"
_CHECKOUT = Path(__file__).parents[2]


class FussyEngine(ScriptedEngine):
    """Finds one object in every picture, once its model is mended."""

    def __init__(self, model: StoredModel, settings: Settings) -> None:
        super().__init__()
        self._mended = model.folder / _MENDED

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        """See the class."""
        if not self._mended.exists():
            raise DetectionError("too fussy for this picture")
        return super().detect(images, least_score)


def make_fussy_model(models: Path, name: str) -> None:
    """Makes a model's folder."""
    folder = models / name
    folder.mkdir(parents=True)
    (folder / "frozen_inference_graph.pb").write_bytes(b"its engine does not read it")
    (folder / "object-detection.pbtxt").write_text("item { id: 1 name: 'person' }")
    config = {"inference_engine_name": _ENGINE, "confidence": 50, "predictions": 10}
    (folder / "config.json").write_text(json.dumps(config))


def mend(models: Path, name: str) -> None:
    """From now on the model takes every picture."""
    (models / name / _MENDED).touch()


def install_fussy_engine(directory: Path) -> str:
    """Makes a distribution that brings the engine, and returns the PYTHONPATH on which it is found."""
    metadata = directory / f"{_ENGINE}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_ENGINE}\nVersion: 1.0\n")
    entry_point = f"{_ENGINE} = {FussyEngine.__module__}:{FussyEngine.__name__}"
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{entry_point}\n")
    paths = [str(directory), str(_CHECKOUT), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(path for path in paths if path)

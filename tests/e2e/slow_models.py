"""Models that take their time to load and to answer, and models that cannot be loaded at all."""

import json
import time
from pathlib import Path

from consumer.engines.engine import ENTRY_POINTS
from framebus.model_repository import StoredModel
from framebus.settings import Settings
from tests.engines import ScriptedEngine

CALL_S = 2.0
UNKNOWN_ENGINE = "nonesuch"

_ENGINE = "slow"
_LOAD_S = 2.0


class SlowEngine(ScriptedEngine):
    """Finds one object in every picture, in a while."""

    def __init__(self, model: StoredModel, settings: Settings) -> None:
        super().__init__(delay_s=CALL_S)

    def load(self) -> None:
        """Takes as long as a graph would."""
        time.sleep(_LOAD_S)


def install_slow_model(directory: Path, name: str) -> None:
    """Makes the model's folder beside those of `install_quick_model`, and the distribution of its engine."""
    _make_model(directory / "models" / name, _ENGINE)
    metadata = directory / "packages" / f"{_ENGINE}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_ENGINE}\nVersion: 1.0\n")
    entry_point = f"{_ENGINE} = {SlowEngine.__module__}:{SlowEngine.__name__}"
    (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{entry_point}\n")


def install_broken_model(directory: Path, name: str) -> None:
    """Makes a model's folder whose engine nobody has."""
    _make_model(directory / "models" / name, UNKNOWN_ENGINE)


def _make_model(folder: Path, engine: str) -> None:
    folder.mkdir(parents=True)
    (folder / "frozen_inference_graph.pb").write_bytes(b"its engine does not read it")
    (folder / "object-detection.pbtxt").write_text("item { id: 1 name: 'person' }")
    config = {"inference_engine_name": engine, "confidence": 50, "predictions": 10}
    (folder / "config.json").write_text(json.dumps(config))

"""A model that needs no TensorFlow, for tests whose consumers are processes: they are ready in a second."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from consumer.engines.engine import ENTRY_POINTS
from framebus.model_repository import StoredModel
from framebus.settings import Settings
from tests.engines import ScriptedEngine

_ENGINE = "quick"
_CALL_S = "QUICK_MODEL_CALL_S"
_CHECKOUT = Path(__file__).parents[1]

LOAD_S = "QUICK_MODEL_LOAD_S"
"""The variable that says how long loading a model takes, in seconds; by default no time."""


@dataclass
class QuickEngine(ScriptedEngine):
    """Finds one object in every picture."""

    def load(self) -> None:
        """Takes as long as the test says."""
        time.sleep(float(os.environ.get(LOAD_S, "0")))


def quick_engine(model: StoredModel, settings: Settings) -> QuickEngine:
    """What the entry point names."""
    return QuickEngine(delay_s=float(os.environ[_CALL_S]))


def install_quick_model(directory: Path, name: str, *, call_s: float) -> dict[str, str]:
    """Makes a folder for the model and a distribution that brings its engine.

    Args:
        directory: Where both are put.
        name: The model's name.
        call_s: How long each call of the engine takes, in seconds.

    Returns:
        The environment of a process that is to run it.
    """
    folder = add_quick_model(directory, name)
    metadata = directory / "packages" / f"{_ENGINE}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_ENGINE}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[{ENTRY_POINTS}]\n{_ENGINE} = {quick_engine.__module__}:{quick_engine.__name__}\n"
    )
    paths = [str(metadata.parent), str(_CHECKOUT), os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "FRAMEBUS_MODELS_DIR": str(folder.parent),
        _CALL_S: str(call_s),
    }


def add_quick_model(directory: Path, name: str) -> Path:
    """Makes the folder of one more such model, and returns it."""
    folder = directory / "models" / name
    folder.mkdir(parents=True)
    (folder / "frozen_inference_graph.pb").write_bytes(name.encode())  # read for the version only
    (folder / "object-detection.pbtxt").write_text("item { id: 1 name: 'person' }")
    config = {"inference_engine_name": _ENGINE, "confidence": 50, "predictions": 10}
    (folder / "config.json").write_text(json.dumps(config))
    return folder

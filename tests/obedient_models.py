"""Models whose engines do what a test says, in its own process; they are found by entry point, as all are."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from consumer.engines.engine import ENTRY_POINTS
from framebus.environment import load_settings
from framebus.model_repository import StoredModel
from framebus.settings import Settings
from tests.engines import ScriptedEngine

ENGINE = "obedient"


def nothing() -> None:
    """What an engine does at its load, unless told otherwise."""


@dataclass
class ObedientEngine(ScriptedEngine):
    """Finds one object in every picture.

    Attributes:
        on_load: Called when it is to be loaded.
        on_close: Called when it is to be closed.
        loaded: How often it was loaded.
    """

    on_load: Callable[[], None] = nothing
    on_close: Callable[[], None] = nothing
    loaded: int = 0

    def load(self) -> None:
        """See the class."""
        self.on_load()
        self.loaded += 1

    def close(self) -> None:
        """See the class."""
        super().close()
        self.on_close()


class ObedientModels:
    """A models directory, and the engines of its models.

    Args:
        directory: Where the models are, and the distribution that brings their engine.

    Attributes:
        directory: The models directory.
        packages: What is to be added to the path of imports.
        make: Makes the engine of each model, at each load.
        made: The engines made so far, by model.
    """

    _current: ClassVar["ObedientModels | None"] = None

    def __init__(self, directory: Path) -> None:
        self.directory, self.packages = directory / "models", directory / "packages"
        self.directory.mkdir()
        metadata = self.packages / f"{ENGINE}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {ENGINE}\nVersion: 1.0\n")
        entry_point = f"{ENGINE} = {obedient_engine.__module__}:{obedient_engine.__name__}"
        (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{entry_point}\n")
        self.make: Callable[[str], ScriptedEngine] = lambda _: ObedientEngine()
        self.made: dict[str, list[ScriptedEngine]] = {}
        ObedientModels._current = self

    def add(self, name: str, **config: object) -> Path:
        """Makes a model's folder."""
        folder = self.directory / name
        folder.mkdir()
        self.write_graph(name, b"1")
        (folder / "object-detection.pbtxt").write_text("item { id: 1 name: 'person' }")
        self.write_config(name, **config)
        return folder

    def write_graph(self, name: str, graph: bytes) -> None:
        """Makes another version of the model."""
        (self.directory / name / "frozen_inference_graph.pb").write_bytes(graph)

    def write_config(self, name: str, **config: object) -> None:
        """Writes config.json anew, in place, as a person does."""
        whole = {"inference_engine_name": ENGINE, "confidence": 50, "predictions": 10, **config}
        (self.directory / name / "config.json").write_text(json.dumps(whole))

    def settings(self, **groups: object) -> Settings:
        """Settings of a worker that has this models directory."""
        return load_settings(models_dir=self.directory, **groups)

    @classmethod
    def engine_of(cls, model: StoredModel) -> ScriptedEngine:
        """Makes the next engine of a model."""
        assert cls._current is not None
        engine = cls._current.make(model.name)
        cls._current.made.setdefault(model.name, []).append(engine)
        return engine


def obedient_engine(model: StoredModel, settings: Settings) -> ScriptedEngine:
    """What the entry point names."""
    return ObedientModels.engine_of(model)

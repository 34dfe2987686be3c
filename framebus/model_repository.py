"""Models on disk: one folder per model, checked before anything runs it.

A folder holds the frozen graph, the label map and config.json. Their form is checked here; whether the
graph runs is the engine's to say.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framebus import label_map, model_config
from framebus.detections import Thresholds
from framebus.errors import ModelError
from framebus.label_map import read_label_map
from framebus.model_config import ModelConfig, read_model_config
from framebus.model_file import open_model_file

GRAPH = "frozen_inference_graph.pb"
FETCH = "`framebus models fetch pedestrian` gets a sample"

_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
_LFS_POINTER = b"version https://git-lfs"
_MAX_GRAPH_BYTES = 2**31 - 1  # protobuf's own limit
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as it lies in its folder, files checked.

    Attributes:
        name: The folder's name.
        folder: Where it lies.
        graph: Its frozen graph.
        labels: Label by class id; ids may have gaps.
        config: What its config.json says.
        version: 12 hex digits that change when the graph or the label map does.
    """

    name: str
    folder: Path
    graph: Path
    labels: Mapping[int, str]
    config: ModelConfig
    version: str

    @property
    def thresholds(self) -> Thresholds:
        """Which detections count, as config.json says."""
        return Thresholds(confidence=self.config.confidence, predictions=self.config.predictions)


class ModelRepository:
    """The models directory. It is read afresh at every call, so that models can come and go."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> list[str]:
        """Lists the folders that hold at least one file of a model, sound or not, sorted.

        Raises:
            ModelError: There is no models directory.
        """
        try:
            if not self.directory.is_dir():
                raise ModelError(
                    f"no models directory {self.directory}; set FRAMEBUS_MODELS_DIR, "
                    f"or let one be made: {FETCH}"
                )
            folders = list(self.directory.iterdir())
        except OSError as error:
            raise ModelError(f"{self.directory}: {error.strerror}; make it readable") from error
        return sorted(
            folder.name for folder in folders if _NAME.fullmatch(folder.name) and _looks_like_model(folder)
        )

    def open(self, name: str) -> StoredModel:
        """Checks a model's folder and reads all but its graph.

        Raises:
            ModelError: `Model not found: ...` if there is none of that name; otherwise it names the file,
                what is wrong with it and the remedy.
        """
        # Before any path is made of it: names come from record headers and URLs too.
        if not _NAME.fullmatch(name):
            raise ModelError(
                f"Model not found: {name[:100]!r} is no model name; names are 1 to 100 of A-Z a-z 0-9 . _ -"
            )
        names = self.names()
        folder = self.directory / name
        graph = folder / GRAPH
        labels = folder / label_map.FILE_NAME
        try:
            if not folder.is_dir():
                there = f"{self.directory} has {', '.join(names) or 'none'}"
                raise ModelError(f"Model not found: {name}; {there}; {FETCH}")
            _check_graph(graph)
            return StoredModel(
                name=name,
                folder=folder,
                graph=graph,
                labels=read_label_map(labels),
                config=read_model_config(folder),
                version=_version(graph, labels),
            )
        except OSError as error:
            raise ModelError(
                f"{error.filename or folder}: {error.strerror}; make the folder and its files readable"
            ) from error


def _looks_like_model(folder: Path) -> bool:
    files = {GRAPH, label_map.FILE_NAME, *model_config.FILE_NAMES}
    try:
        return folder.is_dir() and any(path.name in files for path in folder.iterdir())
    except OSError:
        return True  # `open` says what is wrong with it


def _check_graph(graph: Path) -> None:
    remedy = "copy the frozen graph there that the Object Detection API's exporter wrote"
    try:
        with open_model_file(graph, _MAX_GRAPH_BYTES) as file:
            start = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise ModelError(f"{graph}: {error.strerror}; {remedy}") from error
    if not start:
        raise ModelError(f"{graph}: empty; {remedy}")
    if start == _LFS_POINTER:
        raise ModelError(f"{graph}: a Git LFS pointer, not the graph itself; run `git lfs pull`")


def _version(*files: Path) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            # The length first, so that bytes cannot move from one file to the next unnoticed.
            digest.update(path.stat().st_size.to_bytes(8))
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()[:12]

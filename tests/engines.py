"""Engines whose behaviour a test decides."""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from consumer.engines.engine import EngineReport
from framebus.detections import Detections
from framebus.errors import DetectionError
from framebus.frames import Image
from framebus.model_config import ModelConfig
from framebus.model_repository import StoredModel


def stored_model(name: str = "test-model", confidence: float = 50, predictions: int = 10) -> StoredModel:
    """A model without files."""
    return StoredModel(
        name=name,
        folder=Path(name),
        graph=Path(name) / "frozen_inference_graph.pb",
        labels={1: "person"},
        config=ModelConfig(inference_engine_name="scripted", confidence=confidence, predictions=predictions),
        version="0123456789ab",
    )


@dataclass
class ScriptedEngine:
    """Finds in every picture one object as large as the picture, with a score of 0.9.

    Attributes:
        poison: Pictures that make their call fail.
        delay_s: How long a call takes.
        gate: A call waits until this is set.
        calls: The number of pictures of each call so far.
        closed: How often it was closed; it is not used after.
    """

    preferred_batch_size: int = 8
    concurrency: int = 1
    device: str = "CPU"
    report: EngineReport = field(default_factory=lambda: EngineReport("scripted"))
    delay_s: float = 0.0
    poison: Callable[[Image], bool] = lambda _: False
    gate: threading.Event = field(default_factory=threading.Event)
    calls: list[int] = field(default_factory=list)
    closed: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def load(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """See `closed`."""
        self.closed += 1

    def batch_key(self, image: Image) -> Hashable:
        """Equal sizes share a call."""
        return image.shape

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        """See the class."""
        assert not self.closed
        assert len({image.shape for image in images}) == 1
        self.gate.wait()
        time.sleep(self.delay_s)
        self.calls.append(len(images))
        if any(self.poison(image) for image in images):
            raise DetectionError("poisoned")
        return [
            Detections(
                boxes=np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32),
                scores=np.array([0.9], np.float32),
                class_ids=np.array([1], np.int32),
                width=image.shape[1],
                height=image.shape[0],
            )
            for image in images
        ]

"""Graphs that are really loaded and run: `TensorFlowDetectionEngine`, from `load` to `close`."""

from pathlib import Path
from random import Random

import numpy as np

from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.errors import DetectionError, ModelError
from framebus.model_config import ModelConfig
from framebus.model_repository import GRAPH, StoredModel
from framebus.settings import Settings
from tests.mutation.targets import Input, graphs

REFUSALS = (ModelError, DetectionError)
MOST_BYTES = 2**33
"""A graph is a program, and takes what its sums take: the bound is that of the child process."""

_SETTINGS = Settings(tensorflow={"batch_size": 2, "intra_op_threads": 1, "inter_op_threads": 1})
_CONFIG = ModelConfig(inference_engine_name="tensorflow_detection", confidence=60, predictions=15)
_PICTURES = [np.full((8, 8, 3), brightness, np.uint8) for brightness in (20, 200)]


def make(random: Random) -> Input:
    return graphs.make(random)


def read(content: bytes, folder: Path) -> object:
    file = folder / GRAPH
    file.write_bytes(content)
    engine = TensorFlowDetectionEngine(StoredModel("model", folder, file, {}, _CONFIG, "0"), _SETTINGS)
    engine.load()
    try:
        found = engine.detect(_PICTURES)
    finally:
        engine.close()
    assert len(found) == len(_PICTURES)
    return [(one.boxes.tolist(), one.scores.tolist(), one.class_ids.tolist()) for one in found]

"""The engines against each other and the real TensorFlow 1.13.1, on real models and video."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from consumer.engines.auto import AutoEngine
from consumer.engines.openvino_detection import OpenVinoDetectionEngine
from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.frames import Image
from framebus.model_repository import ModelRepository, StoredModel
from framebus.samples import fetch, lacking, read_samples
from framebus.settings import Settings
from tests.engines import stored_model
from tests.integration.test_tensorflow_parity import assert_agrees, read_frames, read_goldens
from tests.tools import detection_graphs
from tests.tools.detection_graphs import GRAPHS, DetectionGraph
from tests.unit.consumer.engines.same_detections import assert_same, certain

BATCH_SIZE = 8
LEAST_SCORE = 0.3


@pytest.fixture(scope="module")
def settings(models_directory: Path) -> Settings:
    return Settings(models_dir=models_directory)


@pytest.fixture(scope="module")
def pedestrian(models_directory: Path) -> StoredModel:
    return ModelRepository(models_directory).open("pedestrian")


@pytest.fixture(params=["pedestrian", "coco"])
def model(request: pytest.FixtureRequest) -> StoredModel:
    """Each real model in turn."""
    model: StoredModel = request.getfixturevalue(request.param)
    return model


def batches_of_plaza(settings: Settings) -> Iterator[list[Image]]:
    """All frames of the sample video."""
    sample = read_samples()["plaza"]
    if reason := lacking(sample):
        pytest.skip(f"the video plaza cannot be fetched: {reason}")
    video = cv2.VideoCapture(str(fetch(sample, settings)))
    batch: list[Image] = []
    while (decoded := video.read())[0]:
        batch.append(np.asarray(cv2.cvtColor(decoded[1], cv2.COLOR_BGR2RGB), np.uint8))
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    yield batch
    video.release()


@pytest.mark.slow
def test_all_that_the_whole_graph_finds_in_the_plaza(model: StoredModel, settings: Settings) -> None:
    cut, whole = OpenVinoDetectionEngine(model, settings), TensorFlowDetectionEngine(model, settings)
    cut.load()
    whole.load()
    assert cut.report.fallback is None
    assert cut.report.parts["first part"].endswith("by OpenCV")
    assert cut.report.parts["last part"].endswith("by numpy")
    frames = detections = 0
    with ThreadPoolExecutor(cut.concurrency) as threads:
        for batch in batches_of_plaza(settings):
            wanted = whole.detect(batch)
            found = threads.map(lambda image: cut.detect([image], LEAST_SCORE)[0], batch)
            for one, other in zip(found, wanted, strict=True):
                assert_same(one, other)
                detections += certain(other)
            frames += len(batch)
    assert frames == 795
    assert detections > 2 * frames
    cut.close()
    whole.close()


@pytest.mark.parametrize(
    ("engine", "least_score"),
    [(OpenVinoDetectionEngine, 0.0), (OpenVinoDetectionEngine, LEAST_SCORE), (AutoEngine, LEAST_SCORE)],
)
def test_pedestrians_as_tensorflow_1_finds_them(
    pedestrian: StoredModel,
    settings: Settings,
    engine: type[OpenVinoDetectionEngine | AutoEngine],
    least_score: float,
) -> None:
    goldens = read_goldens("pedestrian_plaza")
    frames = read_frames("plaza", goldens, settings)
    loaded = engine(pedestrian, settings)
    loaded.load()
    for found, golden in zip(loaded.detect(frames, least_score), goldens, strict=True):
        assert_agrees(found, golden)
    loaded.close()


@pytest.mark.parametrize("video", ["plaza", "street"])
@pytest.mark.parametrize("least_score", [0.0, LEAST_SCORE])
def test_everything_that_coco_finds_as_tensorflow_1_does(
    coco: StoredModel, settings: Settings, video: str, least_score: float
) -> None:
    goldens = read_goldens(f"coco_{video}")
    frames = read_frames(video, goldens, settings)
    engine = OpenVinoDetectionEngine(coco, settings)
    engine.load()
    assert engine.report.fallback is None
    for found, golden in zip(engine.detect(frames, least_score), goldens, strict=True):
        assert_agrees(found, golden)
    engine.close()


@pytest.mark.parametrize("description", GRAPHS, ids=[graph.name for graph in GRAPHS])
def test_graphs_of_other_kinds_as_tensorflow_1_runs_them(tmp_path: Path, description: DetectionGraph) -> None:
    goldens = read_goldens(description.name)
    file = tmp_path / f"{description.name}.pb"
    file.write_bytes(detection_graphs.build(description).SerializeToString())
    engine = OpenVinoDetectionEngine(replace(stored_model(), graph=file), Settings())
    engine.load()
    assert (engine.report.fallback is None) == (not description.two_stage)
    for least_score in (0.0, LEAST_SCORE):
        pictures = detection_graphs.pictures()
        for found, golden in zip(engine.detect(pictures, least_score), goldens, strict=True):
            assert_agrees(found, golden)
    engine.close()

"""The engine against the real TensorFlow 1.13.1: goldens of tests/fixtures, which say how they were made."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.detections import Detections, Thresholds
from framebus.environment import load_settings
from framebus.frames import Image
from framebus.model_repository import ModelRepository, StoredModel
from framebus.resources import cache_directory
from framebus.samples import fetch, lacking, read_samples
from framebus.settings import Settings
from tests.engines import stored_model
from tests.tools import detection_graphs
from tests.tools.detection_graphs import GRAPHS, DetectionGraph

FIXTURES = Path(__file__).parents[1] / "fixtures"
THRESHOLDS = Thresholds(confidence=30, predictions=100)
CERTAIN_SCORE = 0.31  # so far above the threshold that both must have it
SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE = 1e-3

Golden = Mapping[str, Any]


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Samples are kept in the user's cache, for they are large."""
    return load_settings(models_dir=cache_directory(load_settings()) / "models")


@pytest.fixture(scope="module")
def pedestrian(settings: Settings) -> Iterator[TensorFlowDetectionEngine]:
    fetch(read_samples()["pedestrian"], settings)
    engine = TensorFlowDetectionEngine(ModelRepository(settings.models_dir).open("pedestrian"), settings)
    engine.load()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def coco_engine(settings: Settings, coco: StoredModel) -> Iterator[TensorFlowDetectionEngine]:
    engine = TensorFlowDetectionEngine(coco, settings)
    engine.load()
    yield engine
    engine.close()


def read_frames(video_name: str, goldens: Sequence[Golden], settings: Settings) -> list[Image]:
    """The frames of a sample video that have goldens."""
    sample = read_samples()[video_name]
    if reason := lacking(sample):
        pytest.skip(f"the video {video_name} cannot be fetched: {reason}")
    video = cv2.VideoCapture(str(fetch(sample, settings)))
    wanted = {golden["frame"] for golden in goldens}
    images = []
    for number in range(max(wanted) + 1):
        decoded, frame = video.read()
        assert decoded
        if number in wanted:
            images.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    video.release()
    assert [sha256_of(image) for image in images] == [golden["rgb_sha256"] for golden in goldens]
    return images


def read_goldens(name: str) -> list[Golden]:
    goldens = json.loads((FIXTURES / f"goldens_{name}.json").read_text())
    assert goldens["runtime"] == "TensorFlow 1.13.1"
    frames: list[Golden] = goldens["frames"]
    return frames


def assert_agrees(found: Detections, golden: Golden) -> None:
    """All that one runtime finds for certain, the other finds too, with the same class, score and box."""
    ours = rows_of(found.keep(THRESHOLDS))
    theirs = [(one["class"], one["score"], np.clip(one["box"], 0, 1)) for one in golden["detections"]]
    for certain, others in ((ours, list(theirs)), (theirs, list(ours))):
        for row in certain:
            if row[1] > CERTAIN_SCORE:
                twins = [number for number, other in enumerate(others) if same(row, other)]
                assert twins, f"only one of the two runtimes finds {row}"
                del others[twins[0]]


def rows_of(found: Detections) -> list[tuple[int, float, np.ndarray]]:
    """Class, score and box as the graph gives it: ymin, xmin, ymax, xmax, normalised."""
    left, top, right, bottom = found.boxes.T
    boxes = np.stack(
        [top / found.height, left / found.width, bottom / found.height, right / found.width], axis=1
    )
    return [
        (int(class_id), float(score), box)
        for class_id, score, box in zip(found.class_ids, found.scores, boxes, strict=True)
    ]


def same(row: tuple[int, float, np.ndarray], other: tuple[int, float, np.ndarray]) -> bool:
    return (
        row[0] == other[0]
        and abs(row[1] - other[1]) <= SCORE_TOLERANCE
        and float(np.abs(row[2] - other[2]).max()) <= BOX_TOLERANCE
    )


def sha256_of(image: Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()[:16]


def batches_of(images: Sequence[Image], size: int) -> list[Sequence[Image]]:
    return [images[start : start + size] for start in range(0, len(images), size)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_pedestrians_of_the_plaza(
    pedestrian: TensorFlowDetectionEngine, settings: Settings, batch_size: int, threads: int
) -> None:
    goldens = read_goldens("pedestrian_plaza")
    assert sum(len(golden["detections"]) for golden in goldens) == 80
    plaza = read_frames("plaza", goldens, settings)
    with ThreadPoolExecutor(threads) as pool:
        found = [one for batch in pool.map(pedestrian.detect, batches_of(plaza, batch_size)) for one in batch]
    for one, golden in zip(found, goldens, strict=True):
        assert_agrees(one, golden)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize(("video", "detections"), [("plaza", 153), ("street", 7)])
def test_everything_that_coco_finds(
    coco_engine: TensorFlowDetectionEngine, settings: Settings, video: str, detections: int, batch_size: int
) -> None:
    goldens = read_goldens(f"coco_{video}")
    assert sum(len(golden["detections"]) for golden in goldens) == detections
    batches = batches_of(read_frames(video, goldens, settings), batch_size)
    found = [one for batch in batches for one in coco_engine.detect(batch)]
    for one, golden in zip(found, goldens, strict=True):
        assert_agrees(one, golden)


@pytest.mark.parametrize("description", GRAPHS, ids=[graph.name for graph in GRAPHS])
def test_graphs_of_other_kinds(tmp_path: Path, description: DetectionGraph) -> None:
    goldens = read_goldens(description.name)
    pictures = detection_graphs.pictures()
    assert [sha256_of(picture) for picture in pictures] == [golden["rgb_sha256"] for golden in goldens]
    file = tmp_path / f"{description.name}.pb"
    file.write_bytes(detection_graphs.build(description).SerializeToString())
    engine = TensorFlowDetectionEngine(replace(stored_model(), graph=file), Settings())
    engine.load()
    assert engine.preferred_batch_size == (1 if description.single else 8)
    for size in (1, len(pictures)):
        found = [one for batch in batches_of(pictures, size) for one in engine.detect(batch)]
        for one, golden in zip(found, goldens, strict=True):
            assert_agrees(one, golden)
    engine.close()


def test_parity_can_fail() -> None:
    golden = read_goldens("pedestrian_plaza")[0]
    ymin, xmin, ymax, xmax = np.array([one["box"] for one in golden["detections"]], np.float32).T
    found = Detections(
        boxes=np.stack([xmin, ymin, xmax, ymax], axis=1) * 100,
        scores=np.array([one["score"] for one in golden["detections"]], np.float32),
        class_ids=np.array([one["class"] for one in golden["detections"]], np.int32),
        width=100,
        height=100,
    )
    assert_agrees(found, golden)
    for wrong in (
        replace(found, scores=found.scores - np.float32(2e-4)),
        replace(found, boxes=found.boxes + np.float32(0.2)),
        replace(found, class_ids=found.class_ids + np.int32(1)),
        found.keep(Thresholds(confidence=30, predictions=len(found) - 1)),
    ):
        with pytest.raises(AssertionError, match="only one of the two runtimes finds"):
            assert_agrees(wrong, golden)

"""Every result is held against the graph's own: the same detections in the same order, or none at all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from consumer.engines.frozen_graph import read_frozen_graph
from consumer.engines.ssd_arithmetic import Floats
from framebus.environment import load_settings
from framebus.model_repository import ModelRepository, StoredModel
from framebus.resources import cache_directory
from framebus.samples import fetch, lacking, read_samples
from tests import ssd_graphs
from tests.ssd_graphs import ANCHORS, HEADS, KINDS, Recognised, SsdGraph, samples_of
from tests.tools import detection_graphs


@pytest.fixture(scope="module", params=KINDS, ids=[kind.name for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> SsdGraph:
    kind: SsdGraph = request.param
    return kind


@pytest.fixture(scope="module")
def recognised(kind: SsdGraph) -> Iterator[Recognised]:
    recognised = Recognised(ssd_graphs.build(kind), HEADS, samples_of(kind.columns, kind.rank))
    yield recognised
    recognised.run.close()


@pytest.fixture(scope="module")
def usual() -> Iterator[Recognised]:
    recognised = Recognised(ssd_graphs.build(KINDS[0]), HEADS, samples_of(4))
    yield recognised
    recognised.run.close()


def crowded(
    recognised: Recognised, random: np.random.Generator, count: int, rounded: float | None, spread: float
) -> list[Floats]:
    """Heads with so many logits that stand out, of boxes that lie in heaps."""
    codes, logits = (values.copy() for values in recognised.samples[0])
    anchors = recognised.postprocess.coder.anchors
    heap = random.uniform(-0.2, 1.2, (3, 2))[random.integers(3, size=ANCHORS)]
    shifts = (heap + random.normal(0, spread, (ANCHORS, 2)) - anchors[:, :2]) / anchors[:, 2:]
    stretches = np.log(random.uniform(0.1, 0.4, (ANCHORS, 2)) / anchors[:, 2:])
    codes[...] = (np.concatenate([shifts, stretches], axis=1) * (10, 10, 5, 5)).reshape(codes.shape)
    logits[...] = -8
    if (background := recognised.postprocess.converter.background) is not None:
        logits[..., background] = 1
    chosen = random.choice(logits.size, min(count, logits.size), replace=False)
    values = random.normal(2, 4, len(chosen))
    logits.reshape(-1)[chosen] = values if rounded is None else np.round(values / rounded) * rounded
    return [codes, logits]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 150),
    rounded=st.sampled_from([None, None, 0.5, 2.0]),
    spread=st.sampled_from([0.0, 1e-7, 0.02, 0.2]),
    least_score=st.sampled_from([0.01, 0.05, 0.3, 0.5, 0.9]),
)
def test_the_same_is_found_or_it_is_left_to_the_graph(
    recognised: Recognised, seed: int, count: int, rounded: float | None, spread: float, least_score: float
) -> None:
    heads = crowded(recognised, np.random.default_rng(seed), count, rounded, spread)
    assert recognised.agrees(heads, least_score) is not False


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), strange=st.sampled_from([np.nan, np.inf, -np.inf, 1e30, 100.0]))
def test_strange_numbers_are_left_to_the_graph_or_do_not_matter(
    recognised: Recognised, seed: int, strange: float
) -> None:
    random = np.random.default_rng(seed)
    heads = crowded(recognised, random, 20, None, 0.2)
    for values in heads:
        values.reshape(-1)[random.choice(values.size, 3)] = strange
    assert recognised.agrees(heads, 0.3) is not False


def test_most_is_decided_here(recognised: Recognised) -> None:
    random = np.random.default_rng(5)
    decided = [recognised.agrees(crowded(recognised, random, 40, None, 0.1), 0.3) for _ in range(50)]
    assert decided.count(True) >= 45


def test_equal_scores_keep_the_order_of_the_graph(recognised: Recognised) -> None:
    random = np.random.default_rng(6)
    decided = []
    for _ in range(50):
        heads = crowded(recognised, random, 24, 2.0, 0.3)
        if recognised.postprocess.converter.softmax:  # whose ties are decided in one class only
            heads[1][..., 2:] = -8
        decided.append(recognised.agrees(heads, 0.3))
    assert decided.count(True) >= 20
    assert False not in decided


def pair(recognised: Recognised, logits: tuple[float, float], apart: float) -> list[Floats]:
    """Two boxes of the first class, of a height, one farther to the right by a part of its width."""
    codes, quiet = (np.zeros_like(values) for values in recognised.samples[0])
    y, x, height, width = recognised.postprocess.coder.anchors[:2].astype(np.float64).T
    centre_x = 0.3 + np.array([0, apart * 0.25])
    sides = np.array([[(0.5 - y), (centre_x - x)], [np.log(0.25 / height), np.log(0.25 / width)]])
    sides[0] /= [height, width]
    codes.reshape(-1, 4)[:2] = (sides.reshape(4, 2) * [[10], [10], [5], [5]]).T
    quiet[...] = -20
    quiet[0, :2, 1] = logits
    return [codes, quiet]


AT_THE_THRESHOLD = 0.25
"""Two boxes of a size that lie so far apart, as a part of their width, have 0.75 / 1.25 = 0.6 in common."""


@pytest.mark.parametrize(
    ("logits", "apart", "found"),
    [
        pytest.param((1.0, 2.0), AT_THE_THRESHOLD - 1e-4, 1, id="overlapping"),
        pytest.param((1.0, 2.0), AT_THE_THRESHOLD + 1e-4, 2, id="side by side"),
        pytest.param((1.0, 2.0), AT_THE_THRESHOLD, None, id="as near as rounding"),
        pytest.param((1.0, 1.0), 1.5, 2, id="equally sure"),
        pytest.param((1.0, 1.0 + 1e-6), 1.5, None, id="nearly equally sure"),
        pytest.param((1.0, 0.0), 1.5, None, id="as sure as asked for"),
        pytest.param((1.0, 1e-3), 1.5, 2, id="a little surer"),
        pytest.param((1.0, -1e-3), 1.5, 1, id="a little less sure"),
        pytest.param((1.0, np.nan), 1.5, None, id="no number"),
    ],
)
def test_what_rounding_decides_is_left_to_the_graph(
    usual: Recognised, logits: tuple[float, float], apart: float, found: int | None
) -> None:
    heads = pair(usual, logits, apart)
    result = usual.postprocess(heads, 0.5)
    assert (None if result is None else len(result[1])) == found
    assert usual.agrees(heads, 0.5) is (None if found is None else True)


def test_equal_logits_at_the_end_of_the_tensor_are_left_to_the_graph(usual: Recognised) -> None:
    heads = pair(usual, (1.0, 1.0), 1.5)
    heads[0][0, -1], heads[1][0, -1] = heads[0][0, 1], heads[1][0, 1]
    heads[1][0, 1] = -20
    assert usual.postprocess(heads, 0.5) is None


def test_a_picture_with_nothing_in_it(usual: Recognised) -> None:
    found = usual.postprocess(pair(usual, (-20.0, -20.0), 1.0), 0.5)
    assert found is not None
    assert [values.shape for values in found] == [(0, 4), (0,), (0,)]


@pytest.mark.parametrize("least_score", [0.0, 1e-9, 1.0, 2.0])
def test_scores_of_no_use_are_left_to_the_graph(usual: Recognised, least_score: float) -> None:
    assert usual.postprocess(usual.samples[0], least_score) is None


def test_too_many_candidates_are_left_to_the_graph(usual: Recognised) -> None:
    heads = [usual.samples[0][0], np.full_like(usual.samples[0][1], 2)]
    assert usual.postprocess(heads, 0.5) is None


@pytest.mark.parametrize(
    "description",
    [graph for graph in detection_graphs.GRAPHS if not graph.two_stage],
    ids=lambda graph: graph.name,
)
def test_graphs_with_loops_for_the_pictures(
    tmp_path: Path, description: detection_graphs.DetectionGraph
) -> None:
    file = tmp_path / "frozen_inference_graph.pb"
    file.write_bytes(detection_graphs.build(description).SerializeToString())
    heads = ("Postprocessor/concat:0", "Postprocessor/concat_1:0")
    check(file, heads, detection_graphs.pictures())


def check(file: Path, heads: Sequence[str], images: Sequence[NDArray[np.uint8]]) -> None:
    """Recognises a graph by its first two pictures, and compares what is found in all."""
    graph = read_frozen_graph(file).graph
    with tf.Session(graph=graph) as session:
        of_images = [session.run(list(heads), {"image_tensor:0": image[np.newaxis]}) for image in images]
    recognised = Recognised(graph, heads, of_images[:2], {"image_tensor:0": images[0][np.newaxis]})
    decided = [recognised.agrees(values, least) for values in of_images for least in (0.3, 0.5)]
    assert False not in decided
    assert decided.count(True) >= 0.9 * len(decided)
    assert sum(len(recognised.run.detections(values, 0.3)[0]) for values in of_images) >= len(images)
    recognised.run.close()


@pytest.fixture(scope="module")
def plaza() -> list[NDArray[np.uint8]]:
    """Pictures of people who overlap each other."""
    sample = read_samples()["plaza"]
    if reason := lacking(sample):
        pytest.skip(f"the video plaza cannot be fetched: {reason}")
    video = cv2.VideoCapture(str(fetch(sample, load_settings())))
    images = []
    for _ in range(20):
        decoded, frame = video.read()
        assert decoded
        images.append(np.asarray(frame[:, :, ::-1], np.uint8))
    video.release()
    return images


HEADS_OF_SAMPLES = ("concat:0", "concat_1:0")


def test_the_sample_model_pedestrian(plaza: list[NDArray[np.uint8]]) -> None:
    models = load_settings(models_dir=cache_directory(load_settings()) / "models")
    fetch(read_samples()["pedestrian"], models)
    check(ModelRepository(models.models_dir).open("pedestrian").graph, HEADS_OF_SAMPLES, plaza)


def test_the_sample_model_coco(coco: StoredModel, plaza: list[NDArray[np.uint8]]) -> None:
    check(coco.graph, HEADS_OF_SAMPLES, plaza)

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.bilinear import MAX_SIDE
from consumer.engines.frozen_graph import read_frozen_graph
from consumer.engines.graph_cut import CutRefusedError
from consumer.engines.graph_parts import GraphParts, Heads
from consumer.engines.ssd_postprocessing import SsdPostprocessing
from consumer.engines.tensorflow_detection import open_session
from framebus.settings import TensorFlowSettings
from tests.unit.consumer.engines.graph_variants import Variant, write
from tests.unit.consumer.engines.same_detections import draw
from tests.unit.consumer.engines.variant_networks import SIZE


class TensorFlowNetwork:
    """Runs the middle part in TensorFlow."""

    def __init__(self, parts: GraphParts) -> None:
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(parts.network, name="")
        [start] = [node.name for node in parts.network.node if node.op == "Placeholder"]
        self._session = tf.Session(graph=graph)
        self._run = self._session.make_callable(parts.heads, [f"{start}:0"])

    def __call__(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        heads: list[NDArray[np.float32]] = self._run(picture[np.newaxis])
        return heads


class Opened:
    """The parts of a variant's graph, and a session on the whole of it."""

    def __init__(self, variant: Variant, folder: Path) -> None:
        frozen = read_frozen_graph(write(variant, folder))
        self.session = open_session(frozen, TensorFlowSettings(visible_devices=""))
        self.parts = GraphParts(frozen, self.session)
        self.network = TensorFlowNetwork(self.parts)

    def off(self, change: float, head: int = 0, at: int = 0) -> "Off":
        return Off(self.network, change, head, at)


class Off:
    """A network that is wrong in one number."""

    def __init__(self, network: TensorFlowNetwork, change: float, head: int, at: int) -> None:
        self._network, self._change, self._head, self._at = network, change, head, at

    def __call__(self, picture: NDArray[np.float32]) -> Heads:
        heads = [head.copy() for head in self._network(picture)]
        heads[self._head].flat[self._at] += self._change
        return heads


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    opened = Opened(Variant(), tmp_path_factory.mktemp("usual"))
    yield opened
    opened.session.close()


@pytest.mark.parametrize(
    ("variant", "by"),
    [
        (Variant(), "OpenCV"),
        (Variant(resizing="align_corners"), "OpenCV"),
        (Variant(resizing="half_pixel_centers"), "OpenCV"),
        (Variant(normalising="mean, padded"), "OpenCV"),
        (Variant(resizing="nearest"), "TensorFlow"),
        (Variant(resizing="of the middle"), "TensorFlow"),
        (Variant(resizing="grey"), "TensorFlow"),
    ],
    ids=str,
)
def test_pictures_are_prepared_as_the_graph_does_it(tmp_path: Path, variant: Variant, by: str) -> None:
    opened = Opened(variant, tmp_path)
    assert opened.parts.describe()["first part"] == f"resizes to {SIZE}x{SIZE}, by {by}"
    [start] = [node.name for node in opened.parts.network.node if node.op == "Placeholder"]
    for size in [(48, 64), (300, 100), (1, 1), (9, 2000)]:
        picture = draw(*size)
        wanted = opened.session.run(f"{start}:0", {"image_tensor:0": picture[np.newaxis]})[0]
        assert opened.parts.picture_shape == wanted.shape
        np.testing.assert_allclose(opened.parts.prepare(picture), wanted, rtol=0, atol=1e-3)
    opened.session.close()


@pytest.mark.parametrize("size", [(5, MAX_SIDE), (5, MAX_SIDE + 1), (MAX_SIDE + 1, 5), (5, 40_000)])
def test_a_picture_too_long_for_opencv_is_prepared_all_the_same(usual: Opened, size: tuple[int, int]) -> None:
    assert usual.parts.prepare(draw(*size)).shape == (SIZE, SIZE, 3)


def test_the_right_network_passes(usual: Opened) -> None:
    deviations = usual.parts.check(usual.network)
    assert set(deviations) == {"score", "box"}
    assert max(deviations.values()) < 1e-5


@pytest.mark.parametrize("change", [0.1, -0.1, float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("at", [0, -1])
def test_a_network_that_is_wrong_in_one_number_is_refused(
    usual: Opened, change: float, head: int, at: int
) -> None:
    with pytest.raises(CutRefusedError, match=" is off by "):
        usual.parts.check(usual.off(change, head, at))


def test_a_head_of_another_shape_is_refused(usual: Opened) -> None:
    def transposed(picture: NDArray[np.float32]) -> Heads:
        return [np.swapaxes(head, 1, 2) for head in usual.network(picture)]

    with pytest.raises(CutRefusedError, match=r"has the shape \(1, 4, 60\) instead of \(1, 60, 4\)"):
        usual.parts.check(transposed)


def test_heads_in_another_order_are_refused(usual: Opened) -> None:
    with pytest.raises(CutRefusedError):
        usual.parts.check(lambda picture: usual.network(picture)[::-1])


def test_pictures_prepared_otherwise_are_noticed(usual: Opened) -> None:
    """Half a pixel off, as `cv2.resize` is."""

    def shifted(picture: NDArray[np.float32]) -> Heads:
        return usual.network((picture + np.roll(picture, 1, axis=1)) * np.float32(0.5))

    with pytest.raises(CutRefusedError, match=" is off by "):
        usual.parts.check(shifted)


def test_what_follows_the_network_is_noticed_too(usual: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right heads are not enough: what is made of them is compared as well."""
    finish = usual.parts.finish

    def moved(heads: Heads, least_score: float) -> tuple[NDArray[np.float32], ...]:
        boxes, scores, classes = finish(heads, least_score)
        return boxes + np.float32(0.01), scores, classes

    monkeypatch.setattr(usual.parts, "finish", moved)
    with pytest.raises(CutRefusedError, match="scores are off by "):
        usual.parts.check(usual.network)


def test_numpy_is_compared_with_the_graph_too(usual: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    call = SsdPostprocessing.__call__

    def moved(self: SsdPostprocessing, heads: Heads, least_score: float) -> tuple[Any, ...] | None:
        found = call(self, heads, least_score)
        return found and (found[0] + np.float32(0.01), *found[1:])

    monkeypatch.setattr(SsdPostprocessing, "__call__", moved)
    with pytest.raises(CutRefusedError, match="are off by "):
        usual.parts.check(usual.network)


@pytest.mark.parametrize("left_out", [0, 3])
def test_a_detection_that_is_left_out_is_noticed(
    usual: Opened, monkeypatch: pytest.MonkeyPatch, left_out: int
) -> None:
    finish = usual.parts.finish

    def fewer(heads: Heads, least_score: float) -> tuple[NDArray[np.float32], ...]:
        boxes, scores, classes = finish(heads, least_score)
        certain = scores > 0.1
        kept = certain & (np.cumsum(certain) != left_out + 1)
        return boxes[kept], scores[kept], classes[kept]

    monkeypatch.setattr(usual.parts, "finish", fewer)
    with pytest.raises(CutRefusedError, match="scores are off by "):
        usual.parts.check(usual.network)


def test_deviations_of_a_less_precise_network(usual: Opened) -> None:
    def rounded(picture: NDArray[np.float32]) -> Heads:
        """To the 8 bits that bfloat16 has."""
        heads = [head.copy().view(np.uint32) for head in usual.network(picture)]
        return [(head & np.uint32(0xFFFF0000)).view(np.float32) for head in heads]

    exact, rough = (usual.parts.deviations(network, apart=0.1) for network in (usual.network, rounded))
    assert max(exact.values()) < 1e-5
    assert 1e-4 < rough["score"] < 0.2
    assert 1e-5 < rough["box"] < 0.1


@pytest.mark.parametrize("least_score", [0.0, 0.05, 0.31, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_all_that_is_asked_for_is_found(usual: Opened, least_score: float, seed: int) -> None:
    picture = draw(150, 200, seed)
    names = ["detection_boxes:0", "detection_scores:0", "detection_classes:0", "num_detections:0"]
    boxes, scores, classes, counts = usual.session.run(names, {"image_tensor:0": picture[np.newaxis]})
    wanted = scores[0, : int(counts[0])] > least_score + 1e-5
    found = usual.parts.finish(usual.network(usual.parts.prepare(picture)), least_score)
    kept = found[1] > least_score + 1e-5
    assert kept.sum() == wanted.sum()
    if least_score >= 0.05:  # below, single bits decide which of two boxes comes first
        for ours, theirs in zip(found, (boxes, scores, classes), strict=True):
            np.testing.assert_allclose(ours[kept], theirs[0, : len(wanted)][wanted], atol=1e-4)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        (Variant(scores="of tall ones halved"), r"depends on .*, which pictures differ in"),
        (Variant(scores="of tiny ones halved"), r"depends on .*, which pictures differ in"),
    ],
    ids=["tall ones", "tiny ones"],
)
def test_what_depends_on_the_size_of_the_picture_is_refused(
    tmp_path: Path, variant: Variant, reason: str
) -> None:
    with pytest.raises(CutRefusedError, match=reason):
        Opened(variant, tmp_path)


def test_parts_are_described(usual: Opened) -> None:
    described = usual.parts.describe()
    assert described["network"].endswith(f"; ends with {', '.join(usual.parts.heads)}")
    assert described["last part"] == "decodes and suppresses boxes, by numpy"


def run_all(parts: GraphParts, network: TensorFlowNetwork, pictures: Sequence[NDArray[np.uint8]]) -> int:
    return sum(len(parts.finish(network(parts.prepare(picture)), 0.31)[1]) for picture in pictures)


def test_these_graphs_find_something(usual: Opened) -> None:
    """Else, nothing of the above would be told from anything else."""
    assert run_all(usual.parts, usual.network, [draw(150, 200, seed) for seed in range(4)]) > 3

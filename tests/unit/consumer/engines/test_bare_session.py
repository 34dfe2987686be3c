from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.bare_session import BareSession
from framebus.errors import ModelError
from tests.graphs import brightness, write_graph

LEVELS = (0, 51, 255)
SCORES = pytest.approx([0.0, 0.2, 1.0])


def pictures(height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    """A black one, a dark one and a white one."""
    return np.stack([np.full((height, width, 3), level, np.uint8) for level in LEVELS])


@pytest.fixture
def session(tmp_path: Path) -> Iterator[BareSession]:
    with closing(BareSession(write_graph(tmp_path / "graph.pb"))) as session:
        yield session


def test_it_returns_what_the_graph_does(session: BareSession) -> None:
    boxes, scores, classes, found = session.run(pictures())
    assert session.takes_batches
    assert list(scores[:, 0]) == SCORES
    assert boxes.shape == (3, 2, 4)
    assert list(classes[:, 0]) == [7, 7, 7]
    assert list(found) == [1, 1, 1]


@pytest.mark.parametrize("deep", [False, True], ids=["by its input", "deep inside"])
def test_a_graph_that_takes_one_picture_gets_them_one_by_one(tmp_path: Path, deep: bool) -> None:
    def of_a_single_one(image: tf.Tensor) -> tf.Tensor:
        single = tf.ensure_shape(image, (1, None, None, 3))
        return tf.stack([brightness(single), tf.ones_like(brightness(single))], 1)

    graph = write_graph(
        tmp_path / "graph.pb",
        shape=(None if deep else 1, None, None, 3),
        outputs={"detection_scores": of_a_single_one} if deep else {},
    )
    with closing(BareSession(graph)) as session:
        assert not session.takes_batches
        boxes, scores, *_ = session.run(pictures())
    assert boxes.shape == (1, 2, 4)
    assert scores[0, 0] == pytest.approx(1.0)  # of the last picture


def test_a_graph_that_looks_at_the_first_picture_only_takes_no_batches(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "graph.pb", outputs={"detection_boxes": lambda image: tf.zeros((1, 2, 4))})
    with closing(BareSession(graph)) as session:
        assert not session.takes_batches


def test_pictures_are_fitted_to_a_graph_of_one_size(tmp_path: Path, session: BareSession) -> None:
    picture = pictures()[1]
    assert session.fitted(picture) is picture
    with closing(BareSession(write_graph(tmp_path / "sized.pb", shape=(None, 10, 15, 3)))) as sized:
        fitted = sized.fitted(picture)
        assert fitted.shape == (10, 15, 3)
        assert fitted.dtype == np.uint8
        assert sized.fitted(fitted) is fitted
        _, scores, *_ = sized.run(np.stack([fitted, fitted]))
    assert list(scores[:, 0]) == pytest.approx([0.2, 0.2])


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="not a frozen graph"):
        BareSession(tmp_path / "graph.pb")


def test_a_graph_that_does_not_run_is_refused(tmp_path: Path) -> None:
    graph = write_graph(
        tmp_path / "graph.pb",
        outputs={"num_detections": lambda image: brightness(tf.ensure_shape(image, (7, None, None, 3)))},
    )
    with pytest.raises(ModelError, match=r"graph\.pb: TensorFlow cannot run it: InvalidArgumentError"):
        BareSession(graph)

import numpy as np
import pytest
from numpy.typing import NDArray

from framebus.detections import Detections, Thresholds, label_of


def floats(*values: object) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def detections(*scores: float) -> Detections:
    count = len(scores)
    return Detections(
        boxes=np.arange(4 * count, dtype=np.float32).reshape(count, 4),
        scores=floats(*scores),
        class_ids=np.arange(count, dtype=np.int32),
        width=100,
        height=100,
    )


def test_the_number_of_detections_is_their_length() -> None:
    assert len(detections()) == 0
    assert len(detections(0.9, 0.8)) == 2


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("boxes", np.zeros((2, 5), np.float32)),
        ("boxes", np.zeros((1, 4), np.float32)),
        ("boxes", np.zeros(8, np.float32)),
        ("boxes", np.zeros((2, 4), np.float64)),
        ("scores", np.zeros((2, 1), np.float32)),
        ("scores", np.zeros(2, np.float64)),
        ("class_ids", np.zeros(3, np.int32)),
        ("class_ids", np.zeros(2, np.int64)),
    ],
)
def test_an_array_of_another_shape_or_dtype_is_refused_by_name(name: str, array: NDArray[np.generic]) -> None:
    arrays = {
        "boxes": np.zeros((2, 4), np.float32),
        "scores": np.zeros(2, np.float32),
        "class_ids": np.zeros(2, np.int32),
        name: array,
    }

    with pytest.raises(ValueError, match=rf"{name} is {array.dtype} \({array.shape[0]},"):
        Detections(**arrays, width=10, height=10)  # type: ignore[arg-type]


def test_normalised_boxes_become_pixels_best_first() -> None:
    found = Detections.from_normalised(
        boxes=floats((0.1, 0.2, 0.3, 0.4), (0.5, 0.25, 1.0, 0.75)),
        scores=floats(0.25, 0.75),
        classes=floats(1, 17),
        width=200,
        height=100,
    )

    np.testing.assert_allclose(found.boxes, [(50, 50, 150, 100), (40, 10, 80, 30)], rtol=1e-6)
    np.testing.assert_array_equal(found.scores, floats(0.75, 0.25))
    np.testing.assert_array_equal(found.class_ids, [17, 1])
    assert (found.width, found.height) == (200, 100)


def test_boxes_are_clipped_to_the_picture() -> None:
    found = Detections.from_normalised(
        boxes=floats((-0.5, -0.1, 1.5, 2.0), (1.2, 1.2, 1.4, 1.4)),
        scores=floats(0.9, 0.8),
        classes=floats(1, 1),
        width=200,
        height=100,
    )

    np.testing.assert_array_equal(found.boxes, [(0, 0, 200, 100), (200, 100, 200, 100)])


def test_class_numbers_are_rounded_not_cut() -> None:
    found = Detections.from_normalised(
        boxes=np.zeros((2, 4), np.float32),
        scores=floats(0.9, 0.8),
        classes=floats(2.9999998, 89.00001),
        width=1,
        height=1,
    )

    np.testing.assert_array_equal(found.class_ids, [3, 89])


def test_equal_scores_keep_the_order_of_the_graph() -> None:
    count = 100
    found = Detections.from_normalised(
        boxes=np.zeros((count, 4), np.float32),
        scores=floats(*(0.5, 0.9) * (count // 2)),
        classes=np.arange(count, dtype=np.float32),
        width=1,
        height=1,
    )

    np.testing.assert_array_equal(found.class_ids, [*range(1, count, 2), *range(0, count, 2)])


@pytest.mark.parametrize("shape", [(0, 4), (0,)])
def test_nothing_found_is_no_error(shape: tuple[int, ...]) -> None:
    found = Detections.from_normalised(
        boxes=np.zeros(shape, np.float32), scores=floats(), classes=floats(), width=640, height=480
    )

    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert len(found.keep(Thresholds(confidence=0, predictions=10))) == 0


def test_outputs_in_double_precision_are_taken_too() -> None:
    found = Detections.from_normalised(
        boxes=np.array([(0, 0, 0.5, 0.5)], np.float64),
        scores=np.array([0.7], np.float64),
        classes=np.array([1], np.int64),
        width=10,
        height=10,
    )

    np.testing.assert_array_equal(found.boxes, [(0, 0, 5, 5)])
    assert len(found.keep(Thresholds(confidence=70, predictions=1))) == 1


@pytest.mark.parametrize("percent", range(101))
def test_a_score_equal_to_the_threshold_is_kept_and_the_next_lower_is_not(percent: int) -> None:
    score = np.float32(percent / 100)
    thresholds = Thresholds(confidence=percent, predictions=10)

    assert len(detections(float(score)).keep(thresholds)) == 1
    if percent > 0:
        assert len(detections(float(score) - 1e-6).keep(thresholds)) == 0


@pytest.mark.parametrize(
    ("confidence", "predictions", "kept"),
    [
        (0, 10, [0, 1, 2, 3]),
        (50, 10, [0, 1, 2]),
        (50, 2, [0, 1]),
        (50.5, 10, [0, 1]),
        (91, 10, []),
        (0, 1, [0]),
        (0, 0, []),
    ],
)
def test_the_best_detections_that_pass_are_kept(confidence: float, predictions: int, kept: list[int]) -> None:
    found = detections(0.9, 0.8, 0.5, 0.1).keep(Thresholds(confidence, predictions))

    np.testing.assert_array_equal(found.class_ids, kept)
    np.testing.assert_array_equal(found.scores, floats(0.9, 0.8, 0.5, 0.1)[kept])
    np.testing.assert_array_equal(found.boxes, detections(0.9, 0.8, 0.5, 0.1).boxes[kept])
    assert (found.width, found.height) == (100, 100)


def test_a_score_that_is_no_number_never_passes() -> None:
    assert len(detections(float("nan")).keep(Thresholds(confidence=0, predictions=10))) == 0


def test_a_class_without_a_label_is_named_by_its_id() -> None:
    labels = {1: "person", 3: "car"}

    assert [label_of(class_id, labels) for class_id in (1, 2, 3)] == ["person", "2", "car"]

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from consumer.engines.bilinear import MAX_SIDE, Bilinear
from framebus.frames import Image
from tests.unit.consumer.engines.same_detections import draw

SAME_PIXEL = 1e-3  # grey levels
KINDS = [
    pytest.param(False, False, id="corners"),
    pytest.param(True, False, id="corners aligned"),
    pytest.param(False, True, id="centres"),
]
SIDES = st.integers(1, 200)


def resized_by_tensorflow(resize: Bilinear, image: Image) -> NDArray[np.float32]:
    with tf.Graph().as_default(), tf.Session() as session:
        operation = tf.raw_ops.ResizeBilinear(
            images=image[np.newaxis],
            size=[resize.height, resize.width],
            align_corners=resize.align_corners,
            half_pixel_centers=resize.half_pixel_centers,
        )
        resized: NDArray[np.float32] = session.run(operation)[0]
        return resized


def assert_as_tensorflow(resize: Bilinear, image: Image) -> None:
    ours = resize(image)
    assert ours.dtype == np.float32
    assert ours.shape == (resize.height, resize.width, 3)
    np.testing.assert_allclose(ours, resized_by_tensorflow(resize, image), rtol=0, atol=SAME_PIXEL)


def chequered(height: int, width: int) -> Image:
    """Each pixel black or white, at random: where a place is off by little, its pixel is off by much."""
    bits = np.random.default_rng(0).integers(0, 2, (height, width, 3), np.uint8)
    return bits * np.uint8(255)


@pytest.mark.parametrize(("align_corners", "half_pixel_centers"), KINDS)
@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (1, 7),
        (7, 1),
        (31, 33),
        (300, 300),
        (301, 299),
        (600, 601),
        (601, 600),
        (1080, 1920),
        (40, 5000),
    ],
)
@pytest.mark.parametrize("to_size", [(1, 1), (1, 5), (37, 63), (300, 300)])
def test_it_is_what_tensorflow_does(
    size: tuple[int, int], to_size: tuple[int, int], align_corners: bool, half_pixel_centers: bool
) -> None:
    assert_as_tensorflow(Bilinear(*to_size, align_corners, half_pixel_centers), chequered(*size))


@settings(max_examples=60, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.sampled_from([(0, 0), (1, 0), (0, 1)]))
@example((128, 128), (64, 64), (0, 0)).via("twice as large is not more than twice")
@example((129, 129), (64, 64), (0, 0)).via("more than twice as large")
def test_it_is_what_tensorflow_does_for_any_size(
    size: tuple[int, int], to_size: tuple[int, int], kind: tuple[int, int]
) -> None:
    assert_as_tensorflow(Bilinear(*to_size, *map(bool, kind)), chequered(*size))


@pytest.mark.parametrize("size", [(MAX_SIDE, 3), (3, MAX_SIDE)])
def test_the_longest_side(size: tuple[int, int]) -> None:
    assert_as_tensorflow(Bilinear(20, 30), chequered(*size))


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_a_flat_picture_stays_flat(level: int) -> None:
    """Networks may round what was resized to whole numbers."""
    for size in [(99, 133), (1080, 1920), (17, 40)]:
        resized = Bilinear(300, 300)(np.full((*size, 3), level, np.uint8))
        assert np.unique(resized).tolist() == [level]


def test_pictures_in_any_order_of_memory() -> None:
    image = draw(90, 120)
    upright = Bilinear(64, 64)(image)
    assert np.array_equal(Bilinear(64, 64)(np.asfortranarray(image)), upright)
    assert np.array_equal(Bilinear(64, 64)(image[:, :, ::-1])[:, :, ::-1], upright)
    image.flags.writeable = False
    assert np.array_equal(Bilinear(64, 64)(image), upright)


def test_the_picture_is_left_as_it_was() -> None:
    image = draw(90, 120)
    before = image.copy()
    Bilinear(64, 64)(image)
    assert np.array_equal(image, before)

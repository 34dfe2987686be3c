import cv2
import numpy as np
import pytest

from framebus.errors import FrameTooLargeError, UndecodableFrameError
from framebus.images import decode, size
from producer.camera_spec import Size
from producer.cameras.camera import Picture
from producer.encoder import Encoder
from tests.pictures import jpeg, picture


def encoder(fit: Size | None = None, *, jpeg_quality: int = 90, max_pixels: int = 10**6) -> Encoder:
    return Encoder(jpeg_quality=jpeg_quality, fit=fit, max_pixels=max_pixels)


def file(suffix: str, width: int = 64, height: int = 48) -> bytes:
    return cv2.imencode(suffix, picture(width, height))[1].tobytes()


@pytest.mark.parametrize(
    ("data", "content_type"),
    [(jpeg(), "image/jpeg"), (file(".png"), "image/png"), (file(".webp"), "image/webp")],
    ids=["jpeg", "png", "webp"],
)
@pytest.mark.parametrize("fit", [None, Size(64, 48), Size(640, 480)])
def test_a_file_that_fits_is_passed_on_byte_for_byte(
    data: bytes, content_type: str, fit: Size | None
) -> None:
    assert encoder(fit).encode(Picture(data, 0)) == (data, content_type)


def test_pixels_become_a_jpeg_of_the_same_picture() -> None:
    data, content_type = encoder(jpeg_quality=95).encode(Picture(picture(), 0))

    assert content_type == "image/jpeg"
    np.testing.assert_allclose(decode(data, 10_000).astype(int), picture(), atol=12)


def test_the_quality_decides_how_large_a_file_is() -> None:
    coarse, fine = (encoder(jpeg_quality=quality).encode(Picture(picture(), 0))[0] for quality in (20, 95))

    assert len(coarse) < len(fine)


@pytest.mark.parametrize(
    ("width", "height", "fit", "expected"),
    [
        (640, 480, Size(320, 320), (320, 240)),
        (480, 640, Size(320, 320), (240, 320)),
        (640, 480, Size(10_000, 48), (64, 48)),
        (640, 480, Size(640, 479), (639, 479)),
        (900, 1, Size(90, 90), (90, 1)),
    ],
)
def test_a_picture_that_does_not_fit_is_made_smaller_and_keeps_its_aspect(
    width: int, height: int, fit: Size, expected: tuple[int, int]
) -> None:
    for content in (picture(width, height), jpeg(width, height), file(".png", width, height)):
        data, content_type = encoder(fit).encode(Picture(content, 0))

        assert size(data) == expected
        assert content_type == "image/jpeg"


def test_a_smaller_picture_shows_the_same() -> None:
    data, _ = encoder(Size(64, 48), jpeg_quality=95).encode(Picture(jpeg(640, 480), 0))

    np.testing.assert_allclose(decode(data, 10_000).astype(int), picture(64, 48), atol=25)


def test_no_picture_is_ever_made_larger() -> None:
    assert size(encoder(Size(640, 480)).encode(Picture(picture(64, 48), 0))[0]) == (64, 48)


@pytest.mark.parametrize("data", [b"", b"<html>", jpeg()[:20]])
@pytest.mark.parametrize("fit", [None, Size(8, 8)])
def test_what_has_no_header_of_a_picture_is_refused(data: bytes, fit: Size | None) -> None:
    with pytest.raises(UndecodableFrameError):
        encoder(fit).encode(Picture(data, 0))


def test_damage_behind_the_header_is_passed_on_unless_the_picture_has_to_be_decoded() -> None:
    cut_off = jpeg()[:-100]

    assert encoder().encode(Picture(cut_off, 0)) == (cut_off, "image/jpeg")
    with pytest.raises(UndecodableFrameError):
        encoder(Size(32, 32)).encode(Picture(cut_off, 0))


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    with pytest.raises(FrameTooLargeError, match="64x48"):
        encoder(Size(32, 32), max_pixels=1_000).encode(Picture(jpeg(), 0))

"""Picture files of every kind that cameras publish, and what they show."""

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from framebus.frames import Image
from tests.pictures import jpeg, picture

WIDTH, HEIGHT = 40, 24
PICTURE = picture(WIDTH, HEIGHT)
GREY = np.repeat(PICTURE[..., 1:2], 3, axis=2)
SIXTEEN_BITS = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH, 3), np.uint16)
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
MAX_PIXELS = 10**6


def file_of(image: Image, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    written = io.BytesIO()
    PillowImage.fromarray(image).convert(mode).save(written, kind, **options)
    return written.getvalue()


def opencv_file(image: NDArray[Any], suffix: str, *options: int) -> bytes:
    taken, data = cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image, options)
    assert taken
    return data.tobytes()


def turned_by_exif(kind: str, image: Image = PICTURE, orientation: int = 6) -> bytes:
    """A picture that is to be shown turned or mirrored: by 90 degrees, unless told otherwise."""
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    return file_of(image, kind, exif=exif)


def with_second_picture(kind: str, **options: Any) -> bytes:
    second = PillowImage.fromarray(picture(WIDTH, HEIGHT, seed=1))
    return file_of(PICTURE, kind, save_all=True, append_images=[second], **options)


def ycck_jpeg(image: Image = PICTURE) -> bytes:
    """YCCK as Adobe writes it: luma and chroma of the picture's negative stand for C, M and Y; no black."""
    negative = PillowImage.fromarray(255 - image).convert("YCbCr")
    channels = np.dstack([255 - np.asarray(negative), np.zeros(image.shape[:2], np.uint8)])
    written = io.BytesIO()
    PillowImage.fromarray(channels, "CMYK").save(written, "JPEG", quality=95)
    data = bytearray(written.getvalue())
    data[data.index(b"Adobe") + 11] = 2  # the segment's last byte: which transform was used
    return bytes(data)


def resampled_jpeg() -> bytes:
    """4:4:1, which few programs write: one 4:1:1 block row, told to stand upright."""
    data = bytearray(opencv_file(picture(32, 8), ".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x411111))
    header = data.index(b"\xff\xc0")
    data[header + 5 : header + 9] = struct.pack(">HH", 32, 8)
    data[header + 11] = 0x14
    return bytes(data)


def padded_segments() -> bytes:
    data = jpeg(WIDTH, HEIGHT)
    for marker in (b"\xff\xdb", b"\xff\xc4", b"\xff\xda"):
        at = data.index(marker)
        data = data[:at] + b"\x00\x07\x00" + data[at:]
    return data


def padded_restarts() -> bytes:
    data = restarting()
    at = data.index(b"\xff\xd0")
    return data[:at] + b"\x00\x00" + data[at:]


def restarting() -> bytes:
    return opencv_file(PICTURE, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1)


EXACT = {
    "png": (file_of(PICTURE, "PNG"), PICTURE),
    "png with alpha": (file_of(np.dstack([PICTURE, ALPHA]), "PNG", "RGBA"), PICTURE),
    "png of a palette": (file_of(GREY[..., 0], "PNG", "P"), GREY),
    "png of a palette with a transparent colour": (file_of(GREY[..., 0], "PNG", "P", transparency=7), GREY),
    "grey png": (file_of(GREY, "PNG", "L"), GREY),
    "grey png with alpha": (file_of(GREY, "PNG", "LA"), GREY),
    "16-bit png": (opencv_file(SIXTEEN_BITS, ".png"), (SIXTEEN_BITS >> 8).astype(np.uint8)),
    "16-bit grey png": (
        opencv_file(SIXTEEN_BITS[..., 0], ".png"),
        np.repeat((SIXTEEN_BITS[..., :1] >> 8).astype(np.uint8), 3, axis=2),
    ),
    "animated png": (with_second_picture("PNG"), PICTURE),
    "turned png": (turned_by_exif("PNG"), PICTURE),
    "webp": (file_of(PICTURE, "WEBP", lossless=True), PICTURE),
    "webp with alpha": (
        file_of(np.dstack([PICTURE, ALPHA]), "WEBP", "RGBA", lossless=True, exact=True),
        PICTURE,
    ),
    "animated webp": (with_second_picture("WEBP", lossless=True), PICTURE),
}
CLOSE = {
    "jpeg": (jpeg(WIDTH, HEIGHT), PICTURE),
    "progressive jpeg": (file_of(PICTURE, "JPEG", progressive=True, quality=95), PICTURE),
    "grey jpeg": (file_of(GREY, "JPEG", "L", quality=95), GREY),
    "rgb jpeg": (file_of(PICTURE, "JPEG", keep_rgb=True, quality=95), PICTURE),
    "cmyk jpeg": (file_of(PICTURE, "JPEG", "CMYK", quality=95), PICTURE),
    "ycck jpeg": (ycck_jpeg(), PICTURE),
    "jpeg with restarts": (restarting(), PICTURE),
    "jpeg with padding between segments": (padded_segments(), PICTURE),
    "jpeg with padding at a restart": (padded_restarts(), PICTURE),
    "turned jpeg": (turned_by_exif("JPEG"), PICTURE),
    "multi-picture jpeg": (with_second_picture("MPO"), PICTURE),
    "lossy webp": (file_of(PICTURE, "WEBP", quality=95), PICTURE),
    "lossy webp with alpha": (
        file_of(np.dstack([PICTURE, ALPHA]), "WEBP", "RGBA", quality=95, exact=True),
        PICTURE,
    ),
    "turned webp": (turned_by_exif("WEBP"), PICTURE),
}
FILES = {name: data for name, (data, _) in {**EXACT, **CLOSE}.items()} | {"4:4:1 jpeg": resampled_jpeg()}


def each(*names: str) -> pytest.MarkDecorator:
    """Runs a test for each of these files, or for all."""
    return pytest.mark.parametrize("data", [pytest.param(FILES[name], id=name) for name in names or FILES])

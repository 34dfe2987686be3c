"""How a picture is written to a file, in every way that cameras do."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from framebus.frames import Image
from tests.picture_files import file_of, opencv_file, turned_by_exif, ycck_jpeg

Kind = Callable[[Image], bytes]


def with_alpha(image: Image) -> Image:
    height, width = image.shape[:2]
    alpha = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    return np.dstack([image, alpha])


def alpha_file(image: Image, kind: str, mode: str = "RGBA", **options: Any) -> bytes:
    return file_of(with_alpha(image), kind, mode, **options)


def sixteen_bits(image: Image) -> bytes:
    return opencv_file(image.astype(np.uint16) * 257, ".png")


def sixteen_bits_grey(image: Image) -> bytes:
    return opencv_file(image[..., 1].astype(np.uint16) * 257, ".png")


QUICK: dict[str, Any] = {"lossless": True, "method": 0, "quality": 0}
KINDS: dict[str, Kind] = {
    "jpeg": partial(file_of, kind="JPEG"),
    "4:2:2 jpeg": partial(file_of, kind="JPEG", subsampling=1),
    "4:4:4 jpeg": partial(file_of, kind="JPEG", subsampling=0),
    "progressive jpeg": partial(file_of, kind="JPEG", progressive=True),
    "grey jpeg": partial(file_of, kind="JPEG", mode="L"),
    "rgb jpeg": partial(file_of, kind="JPEG", keep_rgb=True),
    "cmyk jpeg": partial(file_of, kind="JPEG", mode="CMYK"),
    "ycck jpeg": ycck_jpeg,
    **{f"jpeg turned {way}": partial(turned_by_exif, "JPEG", orientation=way) for way in range(1, 9)},
    "png": partial(file_of, kind="PNG", compress_level=1),
    "grey png": partial(file_of, kind="PNG", mode="L"),
    "grey png with alpha": partial(alpha_file, kind="PNG", mode="LA"),
    "png of a palette": partial(file_of, kind="PNG", mode="P"),
    "png with alpha": partial(alpha_file, kind="PNG"),
    "16-bit png": sixteen_bits,
    "16-bit grey png": sixteen_bits_grey,
    "1-bit png": partial(file_of, kind="PNG", mode="1"),
    "turned png": partial(turned_by_exif, "PNG"),
    "webp": partial(file_of, kind="WEBP"),
    "lossless webp": partial(file_of, kind="WEBP", **QUICK),
    "webp with alpha": partial(alpha_file, kind="WEBP"),
    "lossless webp with alpha": partial(alpha_file, kind="WEBP", **QUICK),
    "turned webp": partial(turned_by_exif, "WEBP"),
}

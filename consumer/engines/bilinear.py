"""TensorFlow 1's bilinear resizing, to the last grey level and in a third of its time."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from framebus.frames import Image

MAX_SIDE = 2**15 - 2
"""Pixels on a side of what `cv2.remap` takes."""

_KEPT_SIZES = 16
_CACHED_BYTES = 3 * 2**19


@dataclass(frozen=True, slots=True)
class Bilinear:
    """A resizing to one size.

    `cv2.resize` takes the middle of a pixel for its place, where TensorFlow 1 takes its corner: what it gives
    is half a pixel off, and detections differ. The arithmetic:
    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/image_resizer_state.h

    Attributes:
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        align_corners: The first and last pixels of both stay in place.
        half_pixel_centers: A pixel's place is its middle.
    """

    height: int
    width: int
    align_corners: bool = False
    half_pixel_centers: bool = False

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Resizes uint8 (H, W, 3), no side longer than `MAX_SIDE`, to float32 (height, width, 3), 0..255."""
        resized = np.empty((self.height, self.width, 3), np.float32)
        for band in _bands(self, *image.shape[:2]):
            cv2.remap(
                image[band.taken].astype(np.float32),
                band.xs,
                band.ys,
                cv2.INTER_LINEAR,
                dst=resized[band.made],
                borderMode=cv2.BORDER_REPLICATE,
            )
        return resized


@dataclass(frozen=True, slots=True)
class _Band:
    """Some rows of the result.

    Attributes:
        made: Which.
        taken: The rows of the picture that they are made of.
        xs: (rows, width): where in those each pixel is taken from; `ys` likewise.
    """

    made: slice
    taken: slice | NDArray[np.intp]
    xs: NDArray[np.float32]
    ys: NDArray[np.float32]


@lru_cache(maxsize=_KEPT_SIZES)
def _bands(to: Bilinear, height: int, width: int) -> list[_Band]:
    xs, ys = _line(to, width, to.width), _line(to, height, to.height)
    # What a band takes of the picture, as floats, is to stay in a core's cache until it is used.
    rows = max(1, int(_CACHED_BYTES / (width * 3 * 4) * min(to.height / height, 0.5)))
    return [
        _band(slice(first, min(first + rows, to.height)), xs, ys, height)
        for first in range(0, to.height, rows)
    ]


def _band(made: slice, xs: NDArray[np.float32], ys: NDArray[np.float32], height: int) -> _Band:
    ys = ys[made]
    above = np.clip(np.floor(ys), 0, height - 1).astype(np.intp)
    below = np.minimum(above + 1, height - 1)
    taken: slice | NDArray[np.intp] = slice(above[0], below[-1] + 1)
    if below[-1] - above[0] >= 2 * len(ys):  # of a large picture most rows are not looked at
        taken = np.stack([above, below], axis=1).ravel()
        ys = 2 * np.arange(len(ys)) + (ys - np.floor(ys))
    else:
        ys = ys - above[0]
    x_of, y_of = np.meshgrid(xs, ys)
    return _Band(made, taken, x_of.astype(np.float32), y_of.astype(np.float32))


def _line(to: Bilinear, size: int, to_size: int) -> NDArray[np.float32]:
    numbers = np.arange(to_size, dtype=np.float32)
    if to.align_corners and to_size > 1:
        return numbers * (np.float32(size - 1) / np.float32(to_size - 1))
    if to.half_pixel_centers:
        return (numbers + np.float32(0.5)) * (np.float32(size) / np.float32(to_size)) - np.float32(0.5)
    return numbers * (np.float32(size) / np.float32(to_size))

"""Makes pictures into what is published: passed on as they came, or encoded as JPEG."""

import cv2
import numpy as np

from framebus import images
from framebus.errors import FrameError
from framebus.frames import Image
from producer.camera_spec import Size
from producer.cameras.camera import Picture


class Encoder:
    """Encodes one camera's pictures.

    A picture that came as a file is passed on byte for byte, unless it has to be made smaller.

    Args:
        jpeg_quality: 1..100.
        fit: Larger pictures are made to fit into this size, keeping their aspect; None: never.
        max_pixels: Pictures that have to be decoded and have more are refused.
    """

    def __init__(self, *, jpeg_quality: int, fit: Size | None, max_pixels: int) -> None:
        self._jpeg_quality = jpeg_quality
        self._fit = fit
        self._max_pixels = max_pixels

    def encode(self, picture: Picture) -> tuple[bytes, str]:
        """Returns a complete image file and its media type.

        Raises:
            FrameError: The camera gave no picture, or one that has to be made smaller and cannot be decoded.
                Of a file that is passed on, only the header is looked at.
        """
        content = picture.content
        if isinstance(content, FrameError):
            raise content
        if isinstance(content, bytes):
            if self._scale(*images.size(content)) == 1:
                return content, images.content_type(content)
            content = images.decode(content, self._max_pixels)
        return images.encode_jpeg(self._resized(content), self._jpeg_quality), "image/jpeg"

    def _scale(self, width: int, height: int) -> float:
        return 1 if self._fit is None else min(self._fit.width / width, self._fit.height / height, 1)

    def _resized(self, image: Image) -> Image:
        height, width = image.shape[:2]
        scale = self._scale(width, height)
        if scale == 1:
            return image
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)

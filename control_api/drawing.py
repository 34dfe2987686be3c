"""Pictures with boxes drawn on them, in the format they came in."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from framebus import images, wire
from framebus.frames import Image

_QUALITY = 90


def draw_boxes(picture: bytes, message: Mapping[str, Any], max_pixels: int) -> tuple[bytes, str]:
    """Draws what a detection message says of a picture.

    Args:
        picture: A complete JPEG, PNG or WebP file.
        message: The detection message.
        max_pixels: Larger pictures are refused.

    Returns:
        A file of the same format, and its content type.

    Raises:
        FrameError: The picture cannot be decoded.
    """
    content_type = images.content_type(picture)
    detections, labels = wire.detections_from_json(message)
    drawn = images.draw(images.decode(picture, max_pixels), detections, labels)
    return _encode(drawn, content_type), content_type


def _encode(image: Image, content_type: str) -> bytes:
    if content_type == "image/jpeg":
        return images.encode_jpeg(image, _QUALITY)
    extension, options = {
        "image/png": (".png", []),
        "image/webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]),
    }[content_type]
    _, encoded = cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return np.asarray(encoded).tobytes()

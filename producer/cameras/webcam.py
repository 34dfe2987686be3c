"""A webcam on this machine."""

from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike

from framebus.errors import CameraError
from producer.cameras.camera import Picture

_MJPEG = cv2.VideoWriter.fourcc(*"MJPG")


class Webcam:
    """Gives the pictures of a Video4Linux device, byte for byte where the device encodes them as JPEG.

    This was written by OpenCV's documentation and source, and never run with a device: only what happens
    without one is tested, and how a picture is told from a JPEG.

    Args:
        device: Its path, `/dev/video0` for instance.
        fps: What the device is asked for; None: its own choice.
    """

    live = True

    def __init__(self, device: Path, *, fps: float | None = None) -> None:
        self._device = device
        self._fps = fps

    def pictures(self) -> Generator[Picture, None, None]:
        """Yields each picture when it comes."""
        if not self._device.exists():
            raise CameraError(
                f"{self._device}: no such device; `v4l2-ctl --list-devices` lists what is there"
            )
        capture = cv2.VideoCapture(str(self._device), cv2.CAP_V4L2)
        try:
            if not capture.isOpened():
                raise CameraError(
                    f"{self._device}: cannot be opened as a webcam; another program may have it, or this "
                    "user may not use it (group `video`)"
                )
            capture.set(cv2.CAP_PROP_FOURCC, _MJPEG)
            if capture.get(cv2.CAP_PROP_FOURCC) == _MJPEG:
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            if self._fps is not None:
                capture.set(cv2.CAP_PROP_FPS, self._fps)
            while True:
                has_picture, pixels = capture.read()
                if not has_picture:
                    raise CameraError(f"{self._device}: the webcam gives no more pictures")
                yield picture_of(pixels)
        finally:
            capture.release()


def picture_of(pixels: MatLike) -> Picture:
    """Tells a JPEG file, which OpenCV gives as one row of bytes, from BGR pixels."""
    if pixels.ndim < 3 or pixels.shape[0] == 1:
        return Picture(pixels.tobytes(), 0)
    return Picture(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), 0)

"""A video file as a camera."""

from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np

from framebus import images
from framebus.errors import CameraError
from producer.cameras.camera import Picture

# A container without a frame rate tells its clock's rate instead, 90 kHz for instance.
_MAX_FPS = 1_000.0


class VideoFile:
    """Gives every frame of a video file as JPEG, at the file's average frame rate.

    Args:
        path: Anything that FFmpeg reads.
        jpeg_quality: 1..100.
        fps: Pictures per second instead of the file's own rate; None: the file's own.
    """

    def __init__(self, path: Path, *, jpeg_quality: int, fps: float | None = None) -> None:
        self._path = path
        self._jpeg_quality = jpeg_quality
        self._fps = fps

    def pictures(self) -> Generator[Picture, None, None]:
        """Yields each frame once, encoded."""
        if not self._path.is_file():
            raise CameraError(
                f"{self._path}: no such file; a camera is a video file or a directory of pictures"
            )
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise CameraError(
                    f"{self._path}: not a video that FFmpeg can read; check it with `ffprobe`, or convert it "
                    "to MP4"
                )
            lasts_s = 1 / (self._fps or self._own_fps(capture))
            readable = False
            while True:
                has_frame, frame = capture.read()
                if not has_frame:
                    break
                readable = True
                picture = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
                yield Picture(images.encode_jpeg(picture, self._jpeg_quality), "image/jpeg", lasts_s)
            if not readable:
                raise CameraError(
                    f"{self._path}: the video has no frame that can be decoded; convert it to MP4"
                )
        finally:
            capture.release()

    def _own_fps(self, capture: cv2.VideoCapture) -> float:
        fps = capture.get(cv2.CAP_PROP_FPS)
        if not 0 < fps <= _MAX_FPS:
            raise CameraError(f"{self._path}: the video tells no frame rate ({fps:g}); give one with --fps")
        return fps

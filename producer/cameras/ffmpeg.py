"""Video that FFmpeg reads, through OpenCV: files, and streams of cameras on the network."""

import os
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from framebus.errors import CameraError
from framebus.frames import Image
from producer.camera_url import CameraUrl
from producer.cameras.camera import Picture

# A container without a frame rate tells its clock's rate instead, 90 kHz for instance.
_MAX_FPS = 1_000.0
_DIAGNOSIS_TIMEOUT_S = 2.0
_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

# By default OpenCV opens one source at a time in the whole process, so that a camera which hangs while it is
# opened would hold up all others. FFmpeg needs that no longer.
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
# What FFmpeg writes to standard error is no line of our log; quiet, unless somebody wants to see it.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class VideoFile:
    """Gives every frame of a video file, at the file's average frame rate.

    Args:
        path: Anything that FFmpeg reads.
        fps: Pictures per second instead of the file's own rate; None: the file's own.
    """

    live = False

    def __init__(self, path: Path, *, fps: float | None = None) -> None:
        self._path = path
        self._fps = fps

    def pictures(self) -> Generator[Picture, None, None]:
        """Yields each frame once."""
        if not self._path.is_file():
            raise CameraError(
                f"{self._path}: no such file; a camera is a video file, a directory of pictures, a URL or a "
                "webcam"
            )
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise CameraError(
                    f"{self._path}: not a video that FFmpeg can read; check it with `ffprobe`, or convert it "
                    "to MP4"
                )
            lasts_s = 1 / (self._fps or _own_fps(capture, str(self._path)))
            readable = False
            for image in _images(capture):
                readable = True
                yield Picture(image, lasts_s)
            if not readable:
                raise CameraError(
                    f"{self._path}: the video has no frame that can be decoded; convert it to MP4"
                )
        finally:
            capture.release()


class VideoStream:
    """Gives every frame of a video stream on the network; RTSP comes over TCP where the camera offers it.

    H.264 and H.265 pictures keep the size that the stream had when it was opened, even if it changes: OpenCV
    scales them.

    Args:
        url: Where it is; `OPENCV_FFMPEG_CAPTURE_OPTIONS` in the environment holds options of FFmpeg for it.
        timeout_s: Longest time to open it, and longest silence.
    """

    live = True

    def __init__(self, url: CameraUrl, *, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s

    def pictures(self) -> Generator[Picture, None, None]:
        """Yields each frame when it comes; a video that is a file there comes at its own rate."""
        timeout_ms = round(self._timeout_s * 1_000)
        capture = cv2.VideoCapture(
            self._url.text,
            cv2.CAP_FFMPEG,
            [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms),
                # Each further thread would hold back one frame.
                *(cv2.CAP_PROP_N_THREADS, 1),
            ],
        )
        try:
            if not capture.isOpened():
                raise CameraError(f"{self._url.name}: {self._why_not_opened()}")
            is_file = self._url.name.startswith("http") and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
            lasts_s = 1 / _own_fps(capture, self._url.name) if is_file else 0.0
            for image in _images(capture):
                yield Picture(image, lasts_s)
        finally:
            capture.release()
        raise CameraError(f"{self._url.name}: the stream ended, or gave nothing for {self._timeout_s:g} s")

    def _why_not_opened(self) -> str:
        """FFmpeg does not say; tells at least whether the host can be reached."""
        url = urlsplit(self._url.bare)
        try:
            address = url.hostname, url.port or _DEFAULT_PORTS[url.scheme]
            socket.create_connection(address, _DIAGNOSIS_TIMEOUT_S).close()
        except OSError as error:
            return f"cannot be reached: {error.strerror or error}"
        return (
            f"gave no video that FFmpeg can read within {self._timeout_s:g} s; check path, user and password "
            "with `ffprobe`"
        )


def _images(capture: cv2.VideoCapture) -> Iterator[Image]:
    while True:
        has_frame, frame = capture.read()
        if not has_frame:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _own_fps(capture: cv2.VideoCapture, name: str) -> float:
    fps = capture.get(cv2.CAP_PROP_FPS)
    if not 0 < fps <= _MAX_FPS:
        raise CameraError(f"{name}: the video tells no frame rate ({fps:g}); give one with --fps")
    return fps

"""What is measured with: frames of a real video, decoded and as JPEG."""

from dataclasses import dataclass
from pathlib import Path

from framebus.errors import CameraError, SampleError
from framebus.frames import Image
from framebus.settings import Settings

VIDEOS = ("plaza", "street")
"""Sample videos; the first that can be had."""

DIFFERENT_FRAMES = 96
"""As many full batches of 1, 2, 4, 8 and 16."""

JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Footage:
    """The first frames of a video.

    Attributes:
        video: Where they are from.
        images: Decoded, uint8 (height, width, 3) RGB.
    """

    video: Path
    images: list[Image]

    @property
    def jpegs(self) -> list[bytes]:
        """The same frames as JPEG of quality 90; encoded anew at each call."""
        from framebus.images import encode_jpeg

        return [encode_jpeg(image, JPEG_QUALITY) for image in self.images]


def read_footage(video: Path, frames: int = DIFFERENT_FRAMES) -> Footage:
    """Reads the first frames of a video; those of a shorter one come round again.

    Raises:
        CameraError: It is no video, or has no frame.
    """
    import cv2
    import numpy as np

    capture = cv2.VideoCapture(str(video))
    images: list[Image] = []
    try:
        while len(images) < frames:
            there, frame = capture.read()
            if not there:
                break
            images.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    finally:
        capture.release()
    if not images:
        raise CameraError(f"{video}: not a video that can be read; name another one with --video")
    return Footage(video, [images[number % len(images)] for number in range(frames)])


def video_or_default(video: Path | None, settings: Settings) -> Path:
    """Returns the video that is named, or the first sample video that is here or can be fetched.

    Raises:
        SampleError: None was named, and none of the samples can be had; says why.
    """
    from framebus import samples
    from framebus.cli.models import fetch_with_progress

    if video is not None:
        return video
    *others, last = VIDEOS
    for name in others:
        try:
            return fetch_with_progress(samples.read_samples()[name], settings)
        except SampleError:
            continue
    return fetch_with_progress(samples.read_samples()[last], settings)

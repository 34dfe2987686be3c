"""The kinds of camera, and which of them reads which source."""

from pathlib import Path

from producer.cameras.camera import Camera
from producer.cameras.directory import PictureDirectory
from producer.cameras.video import VideoFile

_DIRECTORY_FPS = 1.0


def create_camera(source: str, *, jpeg_quality: int, fps: float | None = None) -> Camera:
    """Returns the camera for a source; nothing is opened yet.

    Args:
        source: Path of a video file, or of a directory of pictures.
        jpeg_quality: 1..100, for pictures that the source does not have as JPEG, PNG or WebP already.
        fps: Pictures per second; None: the video's own rate, 1 for a directory.
    """
    path = Path(source)
    if path.is_dir():
        return PictureDirectory(path, fps=_DIRECTORY_FPS if fps is None else fps)
    return VideoFile(path, jpeg_quality=jpeg_quality, fps=fps)

"""A directory of pictures as a camera."""

from collections.abc import Generator
from pathlib import Path

from framebus import images
from framebus.errors import CameraError, FrameError
from framebus.logs import get_logger
from producer.cameras.camera import Picture

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

log = get_logger("producer")


class PictureDirectory:
    """Gives the pictures of a directory in the order of their names, byte for byte.

    A file whose header cannot be read is left out with a warning. What follows the header is not looked at:
    damage there is for the consumer to find.

    Args:
        path: The directory; directories inside it are not looked into.
        fps: Pictures per second.
    """

    live = False

    def __init__(self, path: Path, *, fps: float) -> None:
        self._path = path
        self._fps = fps

    def pictures(self) -> Generator[Picture, None, None]:
        """Yields each readable picture once."""
        readable = False
        for file in self._files():
            try:
                data = file.read_bytes()
                images.size(data)
            except (OSError, FrameError) as error:
                log.warning("picture left out", file=str(file), error=str(error))
                continue
            readable = True
            yield Picture(data, 1 / self._fps)
        if not readable:
            raise CameraError(
                f"{self._path}: no picture that can be read; put {', '.join(sorted(SUFFIXES))} files there"
            )

    def _files(self) -> list[Path]:
        try:
            return sorted(file for file in self._path.iterdir() if file.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise CameraError(f"{self._path}: the directory cannot be read: {error.strerror}") from error

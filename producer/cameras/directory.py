"""A directory of pictures as a camera."""

from collections.abc import Generator
from pathlib import Path

from framebus import images
from framebus.errors import CameraError, FrameError, UndecodableFrameError
from producer.cameras.camera import Picture

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class PictureDirectory:
    """Gives the pictures of a directory in the order of their names, byte for byte.

    Of a file whose header cannot be read, the picture says what is wrong. What follows the header is not
    looked at: damage there is for the consumer to find.

    Args:
        path: The directory; directories inside it are not looked into.
        fps: Pictures per second.
    """

    live = False

    def __init__(self, path: Path, *, fps: float) -> None:
        self._path = path
        self._fps = fps

    def pictures(self) -> Generator[Picture, None, None]:
        """Yields each picture once."""
        readable = False
        for file in self._files():
            content = _content(file)
            readable |= isinstance(content, bytes)
            yield Picture(content, 1 / self._fps)
        if not readable:
            raise CameraError(
                f"{self._path}: no picture that can be read; put {', '.join(sorted(SUFFIXES))} files there"
            )

    def _files(self) -> list[Path]:
        try:
            return sorted(file for file in self._path.iterdir() if file.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise CameraError(f"{self._path}: the directory cannot be read: {error.strerror}") from error


def _content(file: Path) -> bytes | FrameError:
    try:
        data = file.read_bytes()
        images.size(data)
    except OSError as error:
        return UndecodableFrameError(f"{file}: cannot be read: {error.strerror}")
    except FrameError as error:
        return UndecodableFrameError(f"{file}: {error}")
    return data

"""What every kind of camera has in common."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from framebus.errors import FrameError
from framebus.frames import Image


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as a camera gives it.

    Attributes:
        content: A JPEG, PNG or WebP file; or, where the camera gives none, uint8 (height, width, 3) RGB; or
            what is wrong with the picture, where that is known already.
        lasts_s: Seconds until the camera's next picture is due; 0 if pictures are due when they come.
    """

    content: bytes | Image | FrameError
    lasts_s: float


class Camera(Protocol):
    """A source of pictures, read by one thread."""

    @property
    def live(self) -> bool:
        """Whether the source goes on without us.

        A live camera that ends or fails was lost, and is opened again; any other has given all it has.
        """
        ...

    def pictures(self) -> Generator[Picture, None, None]:
        """Opens the source and yields its pictures once, without keeping time; `close` releases the source.

        Raises:
            CameraError: The source cannot be opened or read, or has no picture; names it and the remedy, and
                no credentials.
        """
        ...

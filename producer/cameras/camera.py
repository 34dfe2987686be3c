"""What every kind of camera has in common."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as a camera gives it.

    Attributes:
        data: A complete JPEG, PNG or WebP file.
        content_type: Its media type.
        lasts_s: Seconds until the camera's next picture is due; 0 for a live camera, whose pictures are due
            when they come.
    """

    data: bytes
    content_type: str
    lasts_s: float


class Camera(Protocol):
    """A source of pictures, read by one thread."""

    def pictures(self) -> Generator[Picture, None, None]:
        """Opens the source and yields its pictures once, without keeping time; `close` releases the source.

        Raises:
            CameraError: The source cannot be opened or read, or has no picture; names it and the remedy.
        """
        ...

"""A video of a camera's frames with their boxes drawn, written without any window."""

from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from framebus.errors import FramebusError
from framebus.frames import Image

# MPEG-4 part 2: the one codec for MP4 that OpenCV's wheels can encode at pace; they lack H.264.
_FOURCC = cv2.VideoWriter.fourcc(*"mp4v")
# MPEG-4 part 2 has 13 bits for each edge (ISO/IEC 14496-2, 6.2.3).
_LONGEST_EDGE_PIXELS = 8_190
_LONGEST_PAUSE_S = 5.0
# How far frames that come in a bunch may be shown after their time.
_LONGEST_DELAY_S = 0.5


class AnnotatedVideo:
    """An MP4 file that shows one camera's frames at the pace they were captured at.

    A frame is shown until the next one; a pause in the camera is shortened to five seconds. Frames that come
    faster than `fps` for long are left out. The first frame gives the size, and those of another are scaled
    into it, with black at the sides.

    Args:
        path: The file; it begins with the first frame.
        fps: Pictures per second of the video.

    Attributes:
        written: Frames that are in the video.
        left_out: Frames that are not.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.written = self.left_out = 0
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._shown: cv2.typing.MatLike | None = None
        # How many pictures the file has, and the capture time of the first.
        self._pictures = 0
        self._began_at: datetime | None = None

    def write(self, frame: Image, captured_at: datetime) -> None:
        """Shows a frame, and the one before it for as long as it took.

        Args:
            frame: uint8 (height, width, 3), RGB.
            captured_at: When it was captured.

        Raises:
            FramebusError: The file cannot be written.
        """
        number = self._number_of(captured_at)
        if number is None:
            self.left_out += 1
            return
        writer = self._writer or self._open(frame)
        while self._shown is not None and self._pictures < number:
            self._append(writer, self._shown)
        self._shown = cv2.cvtColor(_fit(frame, self._size), cv2.COLOR_RGB2BGR)
        self._append(writer, self._shown)
        self.written += 1

    def close(self) -> None:
        """Completes the file; without this no player opens it."""
        if self._writer is not None:
            self._writer.release()

    def _number_of(self, captured_at: datetime) -> int | None:
        """The number of the picture that shows a frame; None if its time has been given to others."""
        began_at = self._began_at or captured_at
        next_at = began_at + timedelta(seconds=self._pictures / self._fps)
        ahead_s = (captured_at - next_at).total_seconds()
        if abs(ahead_s) > _LONGEST_PAUSE_S:  # a pause, or the camera's clock was set
            shown_at = next_at + timedelta(seconds=_LONGEST_PAUSE_S if ahead_s > 0 else 0)
            began_at += captured_at - shown_at
        elif ahead_s < -_LONGEST_DELAY_S:
            return None
        self._began_at = began_at
        return max(round((captured_at - began_at).total_seconds() * self._fps), self._pictures)

    def _open(self, frame: Image) -> cv2.VideoWriter:
        height, width = frame.shape[:2]
        scale = min(1.0, _LONGEST_EDGE_PIXELS / max(width, height))
        # The codec has two pixels to a colour value, in both directions.
        self._size = (_even(width * scale), _even(height * scale))
        writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, _FOURCC, self._fps, self._size)
        if not writer.isOpened():
            raise FramebusError(f"{self.path} cannot be opened for writing; is its folder writable?")
        self._writer = writer
        return writer

    def _append(self, writer: cv2.VideoWriter, picture: cv2.typing.MatLike) -> None:
        if writer.write(picture) is False:  # OpenCV before 5 does not tell
            raise FramebusError(f"{self.path} cannot be written; is the disk full?")
        self._pictures += 1


def _even(edge: float) -> int:
    return max(2, int(edge) // 2 * 2)


def _fit(picture: Image, size: tuple[int, int]) -> cv2.typing.MatLike:
    """Scales a picture into a size, in the middle of black, its proportions kept."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(size[0] / width, size[1] / height)
    inside = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    resized = cv2.resize(picture, inside, interpolation=cv2.INTER_AREA)
    canvas[top : top + inside[1], left : left + inside[0]] = resized
    return canvas

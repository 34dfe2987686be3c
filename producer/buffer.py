"""Frames waiting for the bus; bounded, so that the oldest go when the broker is away."""

import threading
from collections import deque

from framebus.frames import EncodedFrame


class FrameBuffer:
    """A queue of the frames of all cameras that never makes a camera wait.

    Args:
        max_frames: Frames held at once.
        max_bytes: Bytes held at once. One frame always fits an empty buffer, however large it is.
    """

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._frames: deque[EncodedFrame] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    def put(self, frame: EncodedFrame) -> list[EncodedFrame]:
        """Adds the newest frame, and returns the oldest ones that had to make room for it."""
        dropped = []
        with self._changed:
            while self._frames and not self._fits(frame):
                dropped.append(self._pop())
            self._frames.append(frame)
            self._bytes += len(frame.data)
            self._changed.notify()
        return dropped

    def _fits(self, frame: EncodedFrame) -> bool:
        return len(self._frames) < self._max_frames and self._bytes + len(frame.data) <= self._max_bytes

    def take(self, timeout_s: float) -> EncodedFrame | None:
        """Returns the oldest frame, waiting at most `timeout_s` for one."""
        with self._changed:
            return self._pop() if self._changed.wait_for(lambda: self._frames, timeout_s) else None

    def _pop(self) -> EncodedFrame:
        frame = self._frames.popleft()
        self._bytes -= len(frame.data)
        return frame

    def put_back(self, frame: EncodedFrame) -> None:
        """Makes the frame that was taken last the oldest again."""
        with self._changed:
            self._frames.appendleft(frame)
            self._bytes += len(frame.data)

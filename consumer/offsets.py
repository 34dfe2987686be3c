"""Which offsets of a partition are finished, and so how far it may be committed."""

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class _Admitted:
    offset: int
    outputs_left: int


class OffsetTracker:
    """Follows the frames of one partition for as long as it is assigned.

    Frames may finish in any order; only the contiguous finished beginning may be committed, so that a crash
    reads the rest again. Offsets may have gaps (compaction, transaction markers).
    """

    def __init__(self) -> None:
        self._admitted: deque[_Admitted] = deque()
        self._by_offset: dict[int, _Admitted] = {}
        self._next: int | None = None
        self._committed: int | None = None
        self._changed = threading.Condition()

    def admit(self, offset: int, outputs: int = 1) -> None:
        """Counts a frame in, in the order of offsets, with the number of records it will be published as."""
        with self._changed:
            if self._next is None:
                self._next = self._committed = offset
            frame = _Admitted(offset, outputs)
            self._admitted.append(frame)
            self._by_offset[offset] = frame

    def finish(self, offset: int) -> None:
        """One record of this frame was acknowledged, or the frame was dropped on purpose."""
        with self._changed:
            self._by_offset[offset].outputs_left -= 1
            while self._admitted and self._admitted[0].outputs_left <= 0:
                finished = self._admitted.popleft()
                del self._by_offset[finished.offset]
                self._next = finished.offset + 1
            self._changed.notify_all()

    def next_offset(self) -> int | None:
        """The offset after the contiguous finished beginning; None before the first frame."""
        with self._changed:
            return self._next

    def to_commit(self) -> int | None:
        """The offset to commit; None if nothing finished since the last commit."""
        with self._changed:
            return None if self._next == self._committed else self._next

    def committed(self, offset: int) -> None:
        """The bus has stored this offset."""
        with self._changed:
            self._committed = offset

    def wait_until_finished(self, timeout_s: float) -> bool:
        """Waits until no frame is in flight, at most `timeout_s`; tells whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._admitted, timeout_s)

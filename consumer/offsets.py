"""Which offsets of a partition are finished, and so how far it may be committed."""

import threading
from collections import deque
from collections.abc import Collection


class OffsetTracker:
    """Follows the frames of one partition for as long as it is assigned.

    Frames may finish in any order; only the contiguous finished beginning may be committed, so that a crash
    reads the rest again. Offsets may have gaps (compaction, transaction markers).
    """

    def __init__(self) -> None:
        self._admitted: deque[int] = deque()
        self._finished: set[int] = set()
        self._next: int | None = None
        self._committed = 0
        self._changed = threading.Condition()
        self.is_given_away = False
        """Whether the partition is another consumer's now, so that nothing may be committed here any more."""

    def admit(self, offset: int) -> None:
        """Counts a frame in, in the order of offsets."""
        with self._changed:
            if self._next is None:
                self._next = offset
                self._committed = max(self._committed, offset)
            self._admitted.append(offset)

    def finish(self, offset: int) -> None:
        """What was published for this frame was acknowledged, or the frame was left out on purpose."""
        with self._changed:
            self._finished.add(offset)
            while self._admitted and self._admitted[0] in self._finished:
                self._next = self._admitted.popleft() + 1
                self._finished.remove(self._next - 1)
            self._changed.notify_all()

    def next_offset(self) -> int | None:
        """The offset after the contiguous finished beginning; None before the first frame."""
        with self._changed:
            return self._next

    def to_commit(self, finishing: Collection[int] = ()) -> int | None:
        """The offset to commit once `finishing` are finished too; None if no less is committed already."""
        with self._changed:
            if (offset := self._next) is None:
                return None
            for admitted in self._admitted:
                if admitted not in self._finished and admitted not in finishing:
                    break
                offset = admitted + 1
            return offset if offset > self._committed else None

    def committed(self, offset: int) -> None:
        """The bus has stored this offset, which may be that of a frame still to come."""
        with self._changed:
            self._committed = max(self._committed, offset)

    def wait_until_finished(self, timeout_s: float) -> bool:
        """Waits until no frame is in flight, at most `timeout_s`; tells whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._admitted, timeout_s)

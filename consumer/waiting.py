"""The frames that wait to be decoded."""

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable

from consumer.flight import FlyingFrame


class WaitingFrames:
    """Two queues that are served in turn: frames that all count, and those of which only the latest does.

    In the second a camera's newer frame takes the place of its older one; the place itself, and not one at
    the end: however fast a camera publishes, its turn comes as often as every other's. As a frame that was
    taken is not replaced any more, only so many are handed out ahead of the engine.

    Args:
        ahead: Most frames that are handed out before the engine has begun with them, while one waits of which
            only the latest counts.
    """

    def __init__(self, ahead: int) -> None:
        self._every: deque[FlyingFrame] = deque()
        self._latest: OrderedDict[Hashable, FlyingFrame] = OrderedDict()
        self._room_ahead = self._ahead = ahead
        self._latest_is_next = False
        self._closed = False
        self._changed = threading.Condition()

    def put(self, flying: FlyingFrame) -> FlyingFrame | None:
        """Queues a frame; never blocks, as what is held is bounded elsewhere.

        Returns:
            The frame whose place it took, if there was one.
        """
        with self._changed:
            self._changed.notify()
            if not flying.only_latest:
                self._every.append(flying)
                return None
            older = self._latest.get(flying.camera_key)
            self._latest[flying.camera_key] = flying
            return older

    def take(self) -> FlyingFrame | None:
        """Waits for a frame whose turn it is; None once it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._may_take() or self._closed)
            if not self._may_take():
                return None
            self._room_ahead -= 1
            if self._latest and (self._latest_is_next or not self._every):
                self._latest_is_next = False
                return self._latest.popitem(last=False)[1]
            self._latest_is_next = True
            return self._every.popleft()

    def _may_take(self) -> bool:
        # While a frame waits of which only the latest counts, none of the others runs far ahead of it either.
        return self._room_ahead > 0 if self._latest else bool(self._every)

    def went_on(self, frames: int = 1) -> None:
        """The engine has begun with frames that were taken, or it will not come to that."""
        with self._changed:
            self._room_ahead += frames
            self._changed.notify(frames)

    def allow_ahead(self, frames: int) -> None:
        """Changes how many frames are handed out ahead of the engine."""
        with self._changed:
            self._room_ahead += frames - self._ahead
            self._ahead = frames
            self._changed.notify_all()

    def evict(self) -> FlyingFrame | None:
        """Takes out the frame that has waited longest where only the latest counts, if one waits."""
        with self._changed:
            return self._latest.popitem(last=False)[1] if self._latest else None

    def close(self) -> None:
        """Ends all waiting; nothing is queued any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._every) + len(self._latest)

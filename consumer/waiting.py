"""The frames that wait to be decoded."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from consumer.flight import FlyingFrame


class WaitingFrames:
    """A queue, in which, where only the latest counts, a camera's newer frame takes the older one's place.

    It takes the place itself, and not one at the end: however fast a camera publishes, its turn comes as
    often as every other's.
    """

    def __init__(self) -> None:
        self._frames: OrderedDict[Hashable, FlyingFrame] = OrderedDict()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, flying: FlyingFrame) -> FlyingFrame | None:
        """Queues a frame; never blocks, as what is held is bounded elsewhere.

        Returns:
            The frame whose place it took, if there was one.
        """
        key: Hashable = flying
        if flying.only_latest:
            key = (flying.record.partition.topic, flying.camera_id)
        with self._changed:
            older = self._frames.get(key)
            self._frames[key] = flying
            self._changed.notify()
            return older

    def take(self) -> FlyingFrame | None:
        """Waits for the frame that has waited longest; None once it was closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed)
            return self._frames.popitem(last=False)[1] if self._frames else None

    def evict(self) -> FlyingFrame | None:
        """Takes out the first frame that may be left out, where only the latest of a camera counts."""
        with self._changed:
            for key, flying in self._frames.items():
                if flying.only_latest:
                    return self._frames.pop(key)
            return None

    def close(self) -> None:
        """Hands out what is left, then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._frames)

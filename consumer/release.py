"""Puts finished frames back in order: what a camera published first is published first.

Frames overtake each other in the pipeline (batches of different sizes, several engine threads, a frame
retried alone). Each partition's frames leave here in offset order; a slow one holds back only its own.
"""

import threading
from collections import deque
from collections.abc import Callable

from consumer.flight import FlyingFrame
from framebus.bus import OutgoingRecord, Partition


class Release:
    """The release step of one model.

    Args:
        publish: Takes each finished frame, in offset order per partition; called by one thread at a time.
        discard: Takes each frame whose partition was given away before it could be published.
    """

    def __init__(
        self, publish: Callable[[FlyingFrame], None], discard: Callable[[FlyingFrame], None]
    ) -> None:
        self._publish = publish
        self._discard = discard
        self._in_order: dict[Partition, deque[FlyingFrame]] = {}
        self._lock = threading.Lock()

    def admit(self, flying: FlyingFrame) -> None:
        """Takes note of a frame, in the order of offsets."""
        with self._lock:
            self._in_order.setdefault(flying.record.partition, deque()).append(flying)

    def complete(self, flying: FlyingFrame, outcome: OutgoingRecord) -> None:
        """The frame has its outcome: publishes it and those it held back, or waits for those before it."""
        with self._lock:
            flying.outcome = outcome
            if flying.abandoned:
                self._discard(flying)
                return
            queue = self._in_order[flying.record.partition]
            while queue and queue[0].outcome is not None:
                self._publish(queue.popleft())

    def abandon(self, partition: Partition) -> None:
        """The partition is another consumer's now: nothing of it that still waits here is published."""
        with self._lock:
            for flying in self._in_order.pop(partition, ()):
                flying.abandoned = True
                if flying.outcome is not None:
                    self._discard(flying)

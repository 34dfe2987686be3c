"""Puts finished frames back in order: what a camera published first is published first.

Frames overtake each other in the pipeline (batches of different sizes, several engine threads, a frame
retried alone). Those of one order leave here as they were read; a slow one holds back only its own.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from consumer.flight import FlyingFrame
from framebus.bus import OutgoingRecord, Partition


class Release:
    """The release step of one model.

    Args:
        publish: Takes each finished frame, in offset order per `order_key`; called by one thread at a time.
        discard: Takes each frame whose partition was given away before it could be published.
    """

    def __init__(
        self, publish: Callable[[FlyingFrame], None], discard: Callable[[FlyingFrame], None]
    ) -> None:
        self._publish = publish
        self._discard = discard
        self._in_order: dict[Hashable, OrderedDict[int, FlyingFrame]] = {}
        self._lock = threading.Lock()

    def admit(self, flying: FlyingFrame) -> None:
        """Takes note of a frame, in the order of offsets."""
        with self._lock:
            self._in_order.setdefault(flying.order_key, OrderedDict())[flying.record.offset] = flying

    def complete(self, flying: FlyingFrame, outcome: OutgoingRecord) -> None:
        """The frame has its outcome: publishes it and those it held back, or waits for those before it."""
        with self._lock:
            flying.outcome = outcome
            if self._holds(flying):
                self._advance(flying.order_key)
            else:
                self._discard(flying)

    def leave_out(self, flying: FlyingFrame) -> None:
        """The frame will have no outcome: those behind it need not wait for it."""
        with self._lock:
            if self._holds(flying):
                del self._in_order[flying.order_key][flying.record.offset]
                self._advance(flying.order_key)

    def _holds(self, flying: FlyingFrame) -> bool:
        # Not if it was abandoned; then another with its key and offset may be here, read again.
        queue = self._in_order.get(flying.order_key)
        return queue is not None and queue.get(flying.record.offset) is flying

    def _advance(self, order_key: Hashable) -> None:
        queue = self._in_order[order_key]
        while queue and next(iter(queue.values())).outcome is not None:
            self._publish(queue.popitem(last=False)[1])
        if not queue:
            del self._in_order[order_key]

    def abandon(self, partition: Partition) -> None:
        """The partition is another consumer's now: nothing of it that still waits here is published."""
        with self._lock:
            gone = [
                order_key
                for order_key, queue in self._in_order.items()
                if next(iter(queue.values())).record.partition == partition
            ]
            for order_key in gone:
                for flying in self._in_order.pop(order_key).values():
                    if flying.outcome is not None:
                        self._discard(flying)

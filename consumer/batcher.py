"""Gathers pictures into the batches that an engine is fastest with."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item]):
    item: Item
    since_s: float


class _Queue(Generic[Item]):
    """What waits under one key: those that are urgent, and the others, each in order."""

    def __init__(self) -> None:
        self.urgent: deque[_Waiting[Item]] = deque()
        self.usual: deque[_Waiting[Item]] = deque()

    def __len__(self) -> int:
        return len(self.urgent) + len(self.usual)


class Batcher(Generic[Item]):
    """Pictures with equal keys share a batch, wherever they come from.

    A batch closes at `batch_size` pictures, or `max_delay_s` after its first one; one with an urgent picture
    closes at once, and that picture goes in first. Among closed batches the one that has waited longest goes
    first, and those with something urgent take turns with those without: none waits for ever.

    Args:
        batch_size: Most pictures in a batch.
        max_delay_s: Longest wait of a batch's first picture for the others.
        clock: Monotonic seconds.

    Attributes:
        batch_size: As given; may be changed, for the batches from then on.
    """

    def __init__(
        self, batch_size: int, max_delay_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.batch_size = batch_size
        self._max_delay_s = max_delay_s
        self._clock = clock
        self._waiting: dict[Hashable, _Queue[Item]] = {}
        self._was_urgent = False
        self._closed = False
        self._changed = threading.Condition()

    def put(self, key: Hashable, item: Item, *, is_urgent: bool = False) -> bool:
        """Adds a picture; never blocks, as those in flight are bounded elsewhere.

        Returns:
            False if the batcher was closed: nobody would take it.
        """
        with self._changed:
            if self._closed:
                return False
            queue = self._waiting.setdefault(key, _Queue())
            (queue.urgent if is_urgent else queue.usual).append(_Waiting(item, self._clock()))
            self._changed.notify()
            return True

    def discard(self, item: Item) -> None:
        """Takes an urgent picture out again that nobody waits for any more, unless it has left."""
        with self._changed:
            for key, queue in self._waiting.items():
                if found := [waiting for waiting in queue.urgent if waiting.item is item]:
                    queue.urgent.remove(found[0])
                    if not queue:
                        del self._waiting[key]
                    return

    def take(self) -> list[Item]:
        """Waits for a batch; an empty one means that the batcher was closed and nothing is left."""
        with self._changed:
            while True:
                now_s = self._clock()
                urgent = {key: queue.urgent[0] for key, queue in self._waiting.items() if queue.urgent}
                closed = {
                    key: queue.usual[0]
                    for key, queue in self._waiting.items()
                    if self._is_closed(queue, now_s)
                }
                ready = closed if closed and (self._was_urgent or not urgent) else urgent
                if ready:
                    self._was_urgent = ready is urgent
                    return self._pop(min(ready, key=lambda key: ready[key].since_s))
                if self._closed:
                    return []
                self._changed.wait(self._next_deadline_s(now_s))

    def _is_closed(self, queue: _Queue[Item], now_s: float) -> bool:
        if not queue.usual:
            return False
        is_due = now_s >= queue.usual[0].since_s + self._max_delay_s
        return self._closed or is_due or len(queue) >= self.batch_size

    def _pop(self, key: Hashable) -> list[Item]:
        queue = self._waiting[key]
        # Of two turns one is the stream's, so there what is urgent only fills up.
        order = (queue.urgent, queue.usual) if self._was_urgent else (queue.usual, queue.urgent)
        batch: list[Item] = []
        for some in order:
            while some and len(batch) < self.batch_size:
                batch.append(some.popleft().item)
        if not queue:
            del self._waiting[key]
        return batch

    def _next_deadline_s(self, now_s: float) -> float | None:
        first = [queue.usual[0].since_s for queue in self._waiting.values() if queue.usual]
        return min(first) + self._max_delay_s - now_s if first else None

    def close(self) -> None:
        """Hands out what is left without further waiting, then empty batches."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._waiting.values()))

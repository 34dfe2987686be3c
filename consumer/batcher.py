"""Gathers frames into the batches that an engine is fastest with."""

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


class Batcher(Generic[Item]):
    """Frames with equal keys share a batch, whichever camera they come from.

    A batch closes at `batch_size` frames, or `max_delay_s` after its first frame. Among closed batches the
    one that has waited longest goes first.

    Args:
        batch_size: Most frames in a batch.
        max_delay_s: Longest wait of a batch's first frame for the others.
        clock: Monotonic seconds.
    """

    def __init__(
        self, batch_size: int, max_delay_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._batch_size = batch_size
        self._max_delay_s = max_delay_s
        self._clock = clock
        self._waiting: dict[Hashable, deque[_Waiting[Item]]] = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, key: Hashable, item: Item) -> None:
        """Adds a frame; never blocks, as the frames in flight are bounded elsewhere."""
        with self._changed:
            self._waiting.setdefault(key, deque()).append(_Waiting(item, self._clock()))
            self._changed.notify()

    def take(self) -> list[Item]:
        """Waits for a batch; an empty one means that the batcher was closed and nothing is left."""
        with self._changed:
            while True:
                now_s = self._clock()
                ready = [key for key, queue in self._waiting.items() if self._is_ready(queue, now_s)]
                if ready:
                    return self._pop(min(ready, key=lambda key: self._waiting[key][0].since_s))
                if self._closed:
                    return []
                self._changed.wait(self._next_deadline_s(now_s))

    def _is_ready(self, queue: deque[_Waiting[Item]], now_s: float) -> bool:
        return self._closed or len(queue) >= self._batch_size or now_s >= queue[0].since_s + self._max_delay_s

    def _pop(self, key: Hashable) -> list[Item]:
        queue = self._waiting[key]
        batch = [queue.popleft().item for _ in range(min(len(queue), self._batch_size))]
        if not queue:
            del self._waiting[key]
        return batch

    def _next_deadline_s(self, now_s: float) -> float | None:
        if not self._waiting:
            return None
        return min(queue[0].since_s for queue in self._waiting.values()) + self._max_delay_s - now_s

    def close(self) -> None:
        """Hands out what is left without further waiting, then empty batches."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return sum(len(queue) for queue in self._waiting.values())

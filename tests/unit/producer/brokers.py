"""A broker that can be away, come back, lose records and refuse for good."""

import threading
from collections import deque

from framebus.bus import Delivery, DeliveryCallback, OutgoingRecord, Partition
from framebus.errors import FrameTooLargeError, TransportError


class DistantBroker:
    """A `BusProducer` whose broker says nothing of what it was handed until it is told to.

    Args:
        accepts: Records that the client holds; more are refused.
        max_record_bytes: Larger records are refused for good.
    """

    def __init__(self, *, accepts: int = 1_000, max_record_bytes: int = 10**9) -> None:
        self._accepts = accepts
        self._max_record_bytes = max_record_bytes
        self._held: deque[tuple[OutgoingRecord, DeliveryCallback | None]] = deque()
        self._back = threading.Event()
        self._error: str | None = None
        self._are_too_large = False
        self._hopeless: str | None = None
        self.acknowledged: list[OutgoingRecord] = []
        self.most_held = 0
        self.closed = False

    def come_back(self) -> None:
        self._back.set()

    def lose_records(self, error: str, *, are_too_large: bool = False) -> None:
        """Reports what it holds now as lost, and goes on."""
        self._error, self._are_too_large = error, are_too_large
        self.poll(0)
        self._error, self._are_too_large = None, False

    def refuse_for_good(self, reason: str) -> None:
        self._hopeless = reason

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        if len(record.value or b"") > self._max_record_bytes:
            raise FrameTooLargeError("the record is too large")
        if len(self._held) >= self._accepts:
            return False
        self._held.append((record, on_delivery))
        self.most_held = max(self.most_held, len(self._held))
        return True

    def poll(self, timeout_s: float) -> None:
        if self._hopeless is not None:
            raise TransportError(self._hopeless)
        if self._error is None and not self._back.wait(timeout_s):
            return
        while self._held:
            record, on_delivery = self._held.popleft()
            if self._error is None:
                self.acknowledged.append(record)
            if on_delivery is not None:
                on_delivery(Delivery(Partition(record.topic, 0), 0, self._error, self._are_too_large))

    def flush(self, timeout_s: float) -> int:
        self.poll(timeout_s)
        return len(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        self.closed = True

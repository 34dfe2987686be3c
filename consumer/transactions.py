"""Publishes what became of each frame exactly once: in transactions that hold the offsets of the frames too.

A transaction is committed for the consumer's membership in its group. A broker refuses it once the group went
on without this consumer, or gave a partition to another one; then everything is taken back, and published
again without the frames that are another consumer's now (KIP-98, KIP-447).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from consumer.flight import FlyingFrame
from consumer.offsets import OffsetTracker
from framebus.bus import Delivery, Membership, OutgoingRecord, Partition, TransactionalProducer
from framebus.errors import FrameTooLargeError, TransactionFailedError, TransportError
from framebus.logs import get_logger

_SERVE_INTERVAL_S = 0.005
_IDLE_INTERVAL_S = 0.1

log = get_logger("consumer")


class TransactionalPublisher:
    """The publish stage of exactly-once delivery; its one thread owns the producer.

    Args:
        producer: Used by this stage alone.
        membership: Who the consumer is in its group; None while it is no member.
        tracked: The trackers of the partitions that the group gave to it.
        acknowledged: Takes each frame once what was published for it is committed.
        discard: Takes each frame that is another consumer's now.
        shrink: Gives a frame whose outcome is too large for its topic a smaller one.
        interval_s: How long a transaction is open.
        max_frames: Frames in a transaction.
        patience_s: How long transactions may fail in a row.
    """

    def __init__(
        self,
        producer: TransactionalProducer,
        *,
        membership: Callable[[], Membership | None],
        tracked: Callable[[], Mapping[Partition, OffsetTracker]],
        acknowledged: Callable[[FlyingFrame], None],
        discard: Callable[[FlyingFrame], None],
        shrink: Callable[[FlyingFrame, FrameTooLargeError], None],
        interval_s: float,
        max_frames: int,
        patience_s: float,
    ) -> None:
        self._producer = producer
        self._membership = membership
        self._tracked = tracked
        self._acknowledged = acknowledged
        self._discard = discard
        self._shrink = shrink
        self._interval_s = interval_s
        self._max_frames = max_frames
        self._patience_s = patience_s
        self._queue: SimpleQueue[FlyingFrame | None] = SimpleQueue()
        # Of the open transaction, or of the next one while none is open: the first so many are published.
        self._frames: list[FlyingFrame] = []
        self._published = 0
        self._is_open = False
        self._too_large: dict[FlyingFrame, FrameTooLargeError] = {}
        self._next_begin_s = self._next_commit_s = 0.0
        self._failing_since_s: float | None = None

    def put(self, flying: FlyingFrame) -> None:
        """Queues a frame that has its outcome; never blocks, as the frames in flight are bounded."""
        self._queue.put(flying)

    def close(self) -> None:
        """Ends `run`; what is not committed by then is taken back."""
        self._queue.put(None)

    def __len__(self) -> int:
        return self._queue.qsize() + len(self._frames)

    def run(self) -> None:
        """Publishes until closed, then closes the producer.

        Raises:
            TransportError: Transactions have failed for `patience_s`, or the bus refused for good.
            FrameTooLargeError: Not even what is left of a dead letter fits its topic.
        """
        try:
            self._producer.start()
            self._publish_until_closed()
        finally:
            if self._is_open:  # else those who read what is committed wait until the broker gives it up
                with suppress(TransportError):
                    self._producer.abort()
            self._producer.close()

    def _publish_until_closed(self) -> None:
        while True:
            with suppress(Empty):
                flying = self._queue.get(timeout=_SERVE_INTERVAL_S if self._frames else _IDLE_INTERVAL_S)
                if flying is None:
                    return
                self._keep([flying])
            try:
                self._publish()
                if time.monotonic() >= self._next_commit_s or len(self._frames) >= self._max_frames:
                    self._commit()
            except TransactionFailedError as error:
                self._take_back(str(error))

    def _publish(self) -> None:
        """Publishes what is not published yet; nothing while the consumer is no member of its group."""
        if self._published < len(self._frames) and not self._is_open:
            if self._membership() is None or time.monotonic() < self._next_begin_s:
                return
            self._begin()
        for flying in self._frames[self._published :]:
            self._publish_one(flying)
            self._published += 1
        self._producer.poll(0)

    def _begin(self) -> None:
        self._producer.begin()
        self._is_open = True
        self._next_commit_s = time.monotonic() + self._interval_s

    def _publish_one(self, flying: FlyingFrame) -> None:
        while True:
            assert flying.outcome is not None
            try:
                if self._producer.publish(flying.outcome, partial(self._delivered, flying, flying.outcome)):
                    return
                self._producer.poll(_SERVE_INTERVAL_S)
            except FrameTooLargeError as error:
                self._shrink(flying, error)

    def _delivered(self, flying: FlyingFrame, outcome: OutgoingRecord, delivery: Delivery) -> None:
        # Whatever else is wrong is told by the commit. Word of what was taken back may come late.
        if delivery.is_too_large and flying.outcome is outcome:
            self._too_large[flying] = FrameTooLargeError(f"too large for its topic: {delivery.error}")

    def _commit(self) -> None:
        self._next_commit_s = time.monotonic() + self._interval_s
        # Taken before it is asked what is still this consumer's: what goes later, the broker refuses.
        membership = self._membership()
        tracked = self._tracked()
        mine = set(tracked.values())
        has_lost_some = any(flying.offsets not in mine for flying in self._frames)
        if has_lost_some or (membership is None and self._is_open):
            self._take_back("the group went on without this consumer, or gave partitions to another")
            return
        if membership is None:
            return
        offsets = self._offsets(tracked)
        if not offsets:
            return
        if not self._is_open:  # frames that nothing is published for need to be committed too
            self._begin()
        self._producer.commit(offsets, membership)
        self._is_open = False
        self._failing_since_s = None
        for partition, offset in offsets.items():
            tracked[partition].committed(offset)
        committed, self._frames = self._frames[: self._published], self._frames[self._published :]
        self._published = 0
        for flying in committed:
            self._acknowledged(flying)

    def _offsets(self, tracked: Mapping[Partition, OffsetTracker]) -> dict[Partition, int]:
        published: dict[OffsetTracker, set[int]] = {}
        for flying in self._frames[: self._published]:
            published.setdefault(flying.offsets, set()).add(flying.record.offset)
        due = {one: offsets.to_commit(published.get(offsets, ())) for one, offsets in tracked.items()}
        return {partition: offset for partition, offset in due.items() if offset is not None}

    def _take_back(self, why: str) -> None:
        """Aborts, and leaves to the next transaction what is still this consumer's."""
        now_s = time.monotonic()
        self._failing_since_s = self._failing_since_s or now_s
        if now_s - self._failing_since_s > self._patience_s:
            raise TransportError(f"no transaction could be committed for {self._patience_s:.0f} s: {why}")
        log.info("transaction taken back, publishing again", why=why, frames=len(self._frames))
        if self._is_open:
            self._is_open = False
            self._producer.abort()
        self._published = 0
        too_large, self._too_large = self._too_large, {}
        for flying, error in too_large.items():
            self._shrink(flying, error)
        frames, self._frames = self._frames, []
        self._keep(frames)
        if not self._frames:
            self._failing_since_s = None
        self._next_begin_s = now_s + self._interval_s

    def _keep(self, frames: Iterable[FlyingFrame]) -> None:
        for flying in frames:
            if flying.is_abandoned:
                self._discard(flying)
            else:
                self._frames.append(flying)

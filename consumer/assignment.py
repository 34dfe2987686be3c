"""The partitions that the group gave this consumer: what of them is finished, committed, still to come."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from consumer.metrics import ConsumerMetrics
from consumer.offsets import OffsetTracker
from framebus.bus import BusConsumer, Membership, Partition
from framebus.errors import TopicMissingError, TransportError
from framebus.logs import get_logger

_LAG_INTERVAL_S = 2.0
# Partitions that move from one consumer to another come after a second rebalance.
_IDLE_PATIENCE_S = 20.0
_POLL_TIMEOUT_S = 0.1

log = get_logger("consumer")


class Assignment:
    """Follows the group's word on partitions; used by the thread that polls.

    Args:
        model: The model that the group is for.
        consumer: The member of the group.
        commit_interval_s: How often finished offsets are committed; None: they are committed elsewhere, in
            the transactions that publish what became of the frames.
        patience_s: How long the bus may store none of them.
        revoke_timeout_s: Longest wait for the frames in flight of partitions that are to be given away.
        assigned: Told of partitions that are this consumer's from now on.
        given_away: Told of each partition that is another consumer's now.
        has_failed: Whether the pipeline has, so that nothing more is to be waited for or committed.
        metrics: Where lag is shown.
    """

    def __init__(
        self,
        *,
        model: str,
        consumer: BusConsumer,
        commit_interval_s: float | None,
        patience_s: float,
        revoke_timeout_s: float,
        assigned: Callable[[Sequence[Partition]], None],
        given_away: Callable[[Partition], None],
        has_failed: Callable[[], bool],
        metrics: ConsumerMetrics,
    ) -> None:
        self._model = model
        self._consumer = consumer
        self._commit_interval_s = commit_interval_s
        self._patience_s = patience_s
        self._revoke_timeout_s = revoke_timeout_s
        self._on_assigned = assigned
        self._given_away = given_away
        self._has_failed = has_failed
        self._metrics = metrics
        self._offsets: dict[Partition, OffsetTracker] = {}
        # What the bus was asked to store and has not answered.
        self._asked: dict[Partition, int] = {}
        self._next_commit_s = 0.0
        self._next_lag_s = 0.0
        self._uncommitted_since_s: float | None = None
        self._commit_failed = False
        metrics.assigned_partitions.labels(model).set_function(lambda: len(self._offsets))
        self._idle_since_s = time.monotonic()
        self.membership: Membership | None = None
        """What transactions are committed for, as of the last turn; another thread may read it.

        Who reads it first, and then finds a partition not given away, commits for a time when that was so.
        """
        self.joined = False
        """Whether the group has given this consumer its share of the partitions, which may be none."""

    def join(self, topics: Sequence[str]) -> None:
        """Joins the group, or tells it of other topics; the partitions come with later polls."""
        self._consumer.subscribe(
            topics,
            on_assigned=self._assigned,
            on_revoked=self._revoked,
            on_lost=self._lost,
            on_committed=self._committed,
        )

    def leave(self) -> None:
        """Leaves the group without waiting for frames in flight; after a failure without a commit either."""
        self._revoke_timeout_s = 0.0
        self._consumer.close()

    @property
    def partitions(self) -> set[Partition]:
        """What is assigned now."""
        return set(self._offsets)

    def tracked(self) -> dict[Partition, OffsetTracker]:
        """The trackers of what is assigned now; may be asked by any thread."""
        return dict(self._offsets)

    def renew_membership(self) -> None:
        """Takes note of rebalances, without which transactions are refused."""
        if self._commit_interval_s is None:
            self.membership = self._consumer.membership()

    def commit_when_due(self) -> None:
        """Commits what is finished once per interval, and looks after lag and idleness now and then.

        Raises:
            TransportError: The bus has stored nothing for too long.
        """
        self.renew_membership()
        now_s = time.monotonic()
        if self._commit_interval_s is not None and now_s >= self._next_commit_s:
            self._next_commit_s = now_s + self._commit_interval_s
            self._commit(self._offsets)
        if now_s >= self._next_lag_s:
            self._next_lag_s = now_s + _LAG_INTERVAL_S
            self._measure_lag()
            self._notice_idleness()

    def commit_all(self, timeout_s: float) -> None:
        """Commits what is finished and waits until the bus has stored it, at most `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        self._asked.clear()
        self._commit(self._offsets)
        while (waiting := self._uncommitted()) and time.monotonic() < deadline_s:
            with suppress(TopicMissingError):  # it needs no commit
                self._consumer.poll(0, _POLL_TIMEOUT_S)
            self._commit(self._offsets)
        if waiting:
            log.warning("the broker did not confirm the last commit; some frames may be read again")

    def note(self, offsets: Mapping[Partition, int], note: str) -> None:
        """Stores a note beside offsets of which nothing is in flight, and waits for the answer.

        Raises:
            TransportError: The bus has not answered for too long.
        """
        deadline_s = time.monotonic() + self._patience_s
        self._asked.update(offsets)
        self._consumer.commit(offsets, note)
        while any(self._asked.get(partition) == offset for partition, offset in offsets.items()):
            if time.monotonic() > deadline_s:
                raise self._no_answer()
            with suppress(TopicMissingError):  # it needs no note
                self._consumer.poll(0, _POLL_TIMEOUT_S)

    def _no_answer(self) -> TransportError:
        return TransportError(f"the broker has stored no offset for {self._patience_s:.0f} s")

    def _uncommitted(self) -> bool:
        return any(offsets.to_commit() is not None for offsets in self._offsets.values())

    def _commit(self, partitions: Iterable[Partition]) -> None:
        if self._commit_interval_s is None:
            return
        due = {
            partition: offset
            for partition in partitions
            if (offset := self._offsets[partition].to_commit()) is not None
        }
        if not due:
            self._uncommitted_since_s = None
            return
        now_s = time.monotonic()
        self._uncommitted_since_s = self._uncommitted_since_s or now_s
        if now_s - self._uncommitted_since_s > self._patience_s:
            raise self._no_answer()
        new = {partition: offset for partition, offset in due.items() if self._asked.get(partition) != offset}
        self._asked.update(new)
        if new:
            self._consumer.commit(new)

    def _committed(self, offsets: Mapping[Partition, int], error: str | None) -> None:
        for partition, offset in offsets.items():
            if self._asked.get(partition) == offset:
                del self._asked[partition]  # if it failed, it is asked for again when it is next due
            if error is None and partition in self._offsets:
                self._offsets[partition].committed(offset)
                self._uncommitted_since_s = None
        if error is None:
            self._commit_failed = False
        elif not self._commit_failed:  # once, and not at each attempt while a group rebalances
            self._commit_failed = True
            log.warning("commit failed, trying again", error=error, partitions=_names(list(offsets)))

    def _notice_idleness(self) -> None:
        now_s = time.monotonic()
        if self._offsets or not self.joined:
            self._idle_since_s = now_s
        elif now_s - self._idle_since_s > _IDLE_PATIENCE_S:
            self._idle_since_s = math.inf
            log.warning(
                "no partition is left for this consumer; give its topics more partitions, or stop it",
                model=self._model,
            )

    def _measure_lag(self) -> None:
        for partition, high_watermark in self._consumer.high_watermarks().items():
            offsets = self._offsets.get(partition)
            next_offset = offsets.next_offset() if offsets is not None else None
            if next_offset is not None:
                self._metrics.lag.labels(self._model, partition.topic, partition.number).set(
                    max(high_watermark - next_offset, 0)
                )

    def _assigned(self, partitions: Sequence[Partition]) -> None:
        if partitions:
            log.info("partitions assigned", model=self._model, partitions=_names(partitions))
        self._offsets.update({partition: OffsetTracker() for partition in partitions})
        self._on_assigned(partitions)
        self.renew_membership()
        self.joined = True

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        log.info("partitions revoked", model=self._model, partitions=_names(partitions))
        self.renew_membership()  # else what is in flight could not be committed now
        deadline_s = time.monotonic() + self._revoke_timeout_s
        for partition in partitions:
            while not self._has_failed() and time.monotonic() < deadline_s:
                if self._offsets[partition].wait_until_finished(_POLL_TIMEOUT_S):
                    break
        if not self._has_failed():
            self._commit(partitions)
        self._forget(partitions)

    def _lost(self, partitions: Sequence[Partition]) -> None:
        log.warning(
            "partitions lost, the group went on without this consumer",
            model=self._model,
            partitions=_names(partitions),
        )
        self.joined = False
        self.membership = None
        self._forget(partitions)

    def _forget(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            if (offsets := self._offsets.pop(partition, None)) is not None:
                offsets.is_given_away = True
            self._asked.pop(partition, None)
            self._given_away(partition)
            self._metrics.lag.remove(self._model, partition.topic, partition.number)
        self._uncommitted_since_s = None


def _names(partitions: Sequence[Partition]) -> list[str]:
    return [f"{partition.topic}/{partition.number}" for partition in partitions]

"""The partitions that the group gave this consumer: what of them is finished, committed, still to come."""

import time
from collections.abc import Callable, Iterable, Sequence

from consumer.metrics import ConsumerMetrics
from consumer.offsets import OffsetTracker
from framebus.bus import BusConsumer, Partition
from framebus.errors import TransportError
from framebus.logs import get_logger

# A broker that takes no commit for this long is treated as gone.
_COMMIT_PATIENCE_S = 60.0

log = get_logger("consumer")


class Assignment:
    """Follows the group's word on partitions; used by the thread that polls.

    Args:
        consumer: The member of the group.
        commit_interval_s: How often finished offsets are committed.
        revoke_timeout_s: Longest wait for the frames in flight of partitions that are to be given away.
        given_away: Told of each partition that is another consumer's now.
        metrics: Where lag is shown.
    """

    def __init__(
        self,
        *,
        consumer: BusConsumer,
        commit_interval_s: float,
        revoke_timeout_s: float,
        given_away: Callable[[Partition], None],
        metrics: ConsumerMetrics,
    ) -> None:
        self._consumer = consumer
        self._commit_interval_s = commit_interval_s
        self._revoke_timeout_s = revoke_timeout_s
        self._given_away = given_away
        self._metrics = metrics
        self._offsets: dict[Partition, OffsetTracker] = {}
        self._next_commit_s = 0.0
        self._commits_fail_since_s: float | None = None
        self._may_commit = True
        self.joined = False
        """Whether the group has given this consumer its share of the partitions, which may be none."""

    def join(self, topics: Sequence[str]) -> None:
        """Joins the group; the partitions come with later polls."""
        self._consumer.subscribe(
            topics, on_assigned=self._assigned, on_revoked=self._revoked, on_lost=self._forget
        )

    def leave(self, *, has_failed: bool) -> None:
        """Leaves the group without waiting for frames in flight; after a failure without a commit either."""
        self._revoke_timeout_s = 0.0
        self._may_commit = not has_failed
        self._consumer.close()

    @property
    def partitions(self) -> set[Partition]:
        """What is assigned now."""
        return set(self._offsets)

    def offsets_of(self, partition: Partition) -> OffsetTracker | None:
        """The tracker of a partition; None if it is another consumer's."""
        return self._offsets.get(partition)

    def commit_when_due(self) -> None:
        """Commits what is finished, and measures lag, once per interval.

        Raises:
            TransportError: The broker has taken no commit for a minute.
        """
        now_s = time.monotonic()
        if now_s >= self._next_commit_s:
            self._next_commit_s = now_s + self._commit_interval_s
            self.commit(self._offsets)
            self._measure_lag()

    def commit(self, partitions: Iterable[Partition] | None = None) -> None:
        """Commits what is finished of these partitions, by default of all.

        Raises:
            TransportError: The broker has taken no commit for a minute.
        """
        due = {
            partition: offset
            for partition in (self._offsets if partitions is None else partitions)
            if (offset := self._offsets[partition].to_commit()) is not None
        }
        if not due:
            return
        try:
            self._consumer.commit(due)
        except TransportError as error:
            now_s = time.monotonic()
            self._commits_fail_since_s = self._commits_fail_since_s or now_s
            if now_s - self._commits_fail_since_s > _COMMIT_PATIENCE_S:
                raise
            log.warning("commit failed, trying again", error=str(error))
            return
        self._commits_fail_since_s = None
        for partition, offset in due.items():
            self._offsets[partition].committed(offset)

    def _measure_lag(self) -> None:
        for partition, high_watermark in self._consumer.high_watermarks().items():
            offsets = self._offsets.get(partition)
            next_offset = offsets.next_offset() if offsets is not None else None
            if next_offset is not None:
                self._metrics.lag.labels(partition.topic, partition.number).set(
                    max(high_watermark - next_offset, 0)
                )

    def _assigned(self, partitions: Sequence[Partition]) -> None:
        log.info("partitions assigned", partitions=_names(partitions))
        self._offsets.update({partition: OffsetTracker() for partition in partitions})
        self.joined = True

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        log.info("partitions revoked", partitions=_names(partitions))
        if self._may_commit:
            deadline_s = time.monotonic() + self._revoke_timeout_s
            for partition in partitions:
                self._offsets[partition].wait_until_finished(max(0.0, deadline_s - time.monotonic()))
            self.commit(partitions)
        self._forget(partitions)

    def _forget(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self._offsets.pop(partition, None)
            self._given_away(partition)
            self._metrics.lag.remove(partition.topic, partition.number)


def _names(partitions: Sequence[Partition]) -> list[str]:
    return [f"{partition.topic}/{partition.number}" for partition in partitions]

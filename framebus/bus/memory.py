"""The bus inside one process: partitions, groups of one member, a bounded log. No more than that."""

import threading
import time
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from framebus.bus import (
    CommitCallback,
    Committed,
    Delivery,
    DeliveryCallback,
    Membership,
    OutgoingRecord,
    Partition,
    PartitionsCallback,
    Record,
    TopicSpec,
)
from framebus.errors import TopicMissingError


@dataclass
class _Log:
    records: deque[Record]
    next_offset: int = 0


@dataclass
class MemoryBus:
    """The broker: what producers and consumers of one process share.

    Args:
        retained_records: Records kept per partition; like a broker's retention, the oldest go first.
    """

    retained_records: int = 10_000
    _logs: dict[Partition, _Log] = field(default_factory=dict)
    _partition_counts: dict[str, int] = field(default_factory=dict)
    _committed: dict[tuple[str, Partition], Committed] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def partition_counts(self) -> dict[str, int]:
        """The topics there are, with their number of partitions."""
        with self._changed:
            return dict(self._partition_counts)

    def create_topics(self, topics: Sequence[TopicSpec]) -> list[str]:
        """Creates those that are missing and returns their names; configuration is ignored."""
        with self._changed:
            created = [topic for topic in topics if topic.name not in self._partition_counts]
            for topic in created:
                self._partition_counts[topic.name] = topic.partitions
                for number in range(topic.partitions):
                    self._logs[Partition(topic.name, number)] = _Log(deque(maxlen=self.retained_records))
            return sorted(topic.name for topic in created)

    def admin(self) -> "MemoryBus":
        """Looks after topics: the bus itself does."""
        return self

    def producer(self) -> "MemoryProducer":
        """Publishes."""
        return MemoryProducer(self)

    def reader(self) -> "MemoryReader":
        """Reads as an onlooker."""
        return MemoryReader(self)

    def lookup(self, max_bytes: int) -> "MemoryLookup":  # noqa: ARG002 - the bus keeps them itself
        """Finds single records."""
        return MemoryLookup(self)

    def find(self, partition: Partition, offset: int) -> Record | None:
        """The record at a place, if the bus keeps it."""
        with self._changed:
            log = self._logs.get(partition)
            found = [] if log is None else [record for record in log.records if record.offset == offset]
            return found[0] if found else None

    def append(self, record: OutgoingRecord) -> Delivery:
        """Takes a record; the key decides the partition."""
        with self._changed:
            if record.topic not in self._partition_counts:
                return Delivery(None, None, f"topic {record.topic} does not exist")
            number = zlib.crc32(record.key or b"") % self._partition_counts[record.topic]
            partition = Partition(record.topic, number)
            log = self._logs[partition]
            offset = log.next_offset
            log.next_offset += 1
            log.records.append(
                Record(
                    partition,
                    offset,
                    time.time_ns() // 10**6,
                    record.key,
                    record.value or b"",
                    record.headers,
                )
            )
            self._changed.notify_all()
            return Delivery(partition, offset)

    def partitions_of(self, topic: str) -> list[Partition]:
        """The partitions of a topic.

        Raises:
            TopicMissingError: There is no such topic.
        """
        with self._changed:
            if topic not in self._partition_counts:
                raise TopicMissingError(topic)
            return [Partition(topic, number) for number in range(self._partition_counts[topic])]

    def read(self, positions: dict[Partition, int], max_records: int, timeout_s: float) -> list[Record]:
        """Reads on from `positions`, one record of each partition in turn, and moves them on."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                records = self._take(positions, max_records)
                left_s = deadline - time.monotonic()
                if records or left_s <= 0:
                    return records
                self._changed.wait(left_s)

    def _take(self, positions: dict[Partition, int], max_records: int) -> list[Record]:
        taken: list[Record] = []
        found = True
        while found and len(taken) < max_records:
            found = False
            for partition in positions:
                log = self._logs[partition]
                first_offset = log.next_offset - len(log.records)
                position = max(positions[partition], first_offset)
                if position < log.next_offset and len(taken) < max_records:
                    taken.append(log.records[position - first_offset])
                    positions[partition] = position + 1
                    found = True
        return taken

    def committed(self, group_id: str, partition: Partition) -> Committed | None:
        """What a group has stored for a partition, if it has."""
        with self._changed:
            return self._committed.get((group_id, partition))

    def commit(self, group_id: str, offsets: Mapping[Partition, int], note: str = "") -> None:
        """Stores the offsets that a group reads next, and a note beside them."""
        with self._changed:
            self._committed.update(
                {(group_id, partition): Committed(offset, note) for partition, offset in offsets.items()}
            )

    def high_watermark(self, partition: Partition) -> int:
        """The offset after the newest record."""
        with self._changed:
            return self._logs[partition].next_offset


def _nobody(_: Sequence[Partition]) -> None:
    """Takes no note of partitions."""


class MemoryConsumer:
    """The one member of its group; see `framebus.bus.BusConsumer`."""

    def __init__(self, bus: MemoryBus, group_id: str) -> None:
        self._bus = bus
        self._group_id = group_id
        self._on_assigned: PartitionsCallback = _nobody
        self._on_revoked: PartitionsCallback = _nobody
        self._on_committed: CommitCallback | None = None
        # None once the partitions of the topics are assigned.
        self._wanted: tuple[str, ...] | None = None
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()

    @property
    def is_connected(self) -> bool:
        """Always: it is in this process."""
        return True

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
        on_lost: PartitionsCallback,  # noqa: ARG002 - nothing takes partitions away in one process
        on_committed: CommitCallback,
    ) -> None:
        """Joins, or changes the topics; the partitions come with the next poll."""
        self._wanted = tuple(topics)
        self._on_assigned, self._on_revoked, self._on_committed = on_assigned, on_revoked, on_committed

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first."""
        if self._wanted is not None:
            wanted = [partition for topic in self._wanted for partition in self._bus.partitions_of(topic)]
            self._wanted = None
            self._reassign(wanted)
            return []
        active = {
            partition: offset
            for partition, offset in self._positions.items()
            if partition not in self._paused
        }
        records = self._bus.read(active, max_records, timeout_s)
        self._positions.update(active)
        # The partition served last waits longest next time.
        for partition in {record.partition for record in records}:
            self._positions[partition] = self._positions.pop(partition)
        return records

    def _reassign(self, wanted: Sequence[Partition]) -> None:
        gone = [partition for partition in self._positions if partition not in wanted]
        new = [partition for partition in wanted if partition not in self._positions]
        if gone:
            self._on_revoked(gone)
        for partition in gone:
            del self._positions[partition]
            self._paused.discard(partition)
        stored = self.committed(new)
        self._positions.update({one: stored[one].offset if one in stored else 0 for one in new})
        self._on_assigned(new)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stops delivering these partitions."""
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Delivers these partitions again."""
        self._paused.difference_update(partitions)

    def commit(self, offsets: Mapping[Partition, int], note: str = "") -> None:
        """Stores the offsets to read next."""
        self._bus.commit(self._group_id, offsets, note)
        if self._on_committed is not None:
            self._on_committed(offsets, None)

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Committed]:
        """What the group has stored for these partitions."""
        stored = {one: self._bus.committed(self._group_id, one) for one in partitions}
        return {one: committed for one, committed in stored.items() if committed is not None}

    def membership(self) -> Membership | None:
        """Its group's name: nothing takes partitions away in one process."""
        return Membership(self._group_id.encode())

    def high_watermarks(self) -> dict[Partition, int]:
        """The offset after the newest record of each partition."""
        return {partition: self._bus.high_watermark(partition) for partition in self._positions}

    def close(self) -> None:
        """Leaves the group."""
        if self._positions:
            self._on_revoked(list(self._positions))
        self._positions = {}


class MemoryProducer:
    """Publishes to a `MemoryBus`; see `framebus.bus.BusProducer`."""

    def __init__(self, bus: MemoryBus, *, max_undelivered_records: int = 1_000) -> None:
        self._bus = bus
        self._max_undelivered_records = max_undelivered_records
        self._undelivered: deque[tuple[OutgoingRecord, DeliveryCallback | None]] = deque()

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        """Hands a record over without waiting; False if the buffer is full."""
        if len(self._undelivered) >= self._max_undelivered_records:
            return False
        self._undelivered.append((record, on_delivery))
        return True

    def poll(self, timeout_s: float) -> None:
        """Delivers what was handed over and serves its callbacks."""
        if not self._undelivered and timeout_s > 0:
            time.sleep(timeout_s)
        while self._undelivered:
            record, on_delivery = self._undelivered.popleft()
            delivery = self._bus.append(record)
            if on_delivery is not None:
                on_delivery(delivery)

    def flush(self, timeout_s: float) -> int:  # noqa: ARG002 - nothing to wait for in one process
        """Delivers everything."""
        self.poll(0)
        return 0

    def __len__(self) -> int:
        return len(self._undelivered)

    def close(self) -> None:
        """Gives up what is not delivered."""
        self._undelivered.clear()


class MemoryReader:
    """Follows topics of a `MemoryBus`; see `framebus.bus.BusReader`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._positions: dict[Partition, int] = {}
        self.is_at_end = True
        """Whether each partition was read to its end, at least once."""
        self.is_connected = True
        """Always: it is in this process."""

    def follow(self, topics: Sequence[str], *, from_start: bool) -> None:
        """Reads all partitions of the topics, from their first record or from what comes from now on."""
        partitions = [partition for topic in topics for partition in self._bus.partitions_of(topic)]
        self._positions = {one: 0 if from_start else self._bus.high_watermark(one) for one in partitions}
        self.is_at_end = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first."""
        records = self._bus.read(self._positions, max_records, 0 if not self.is_at_end else timeout_s)
        if len(records) < max_records:
            self.is_at_end = True
        return records

    def close(self) -> None:
        """Reads no more."""
        self._positions = {}


class MemoryLookup:
    """Finds records of a `MemoryBus`; see `framebus.bus.BusLookup`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    def find(
        self,
        partition: Partition,
        offset: int,
        timeout_s: float,  # noqa: ARG002 - nothing to wait for in one process
    ) -> Record | None:
        """Returns the record; None if it is not kept any more."""
        return self._bus.find(partition, offset)

    def close(self) -> None:
        """There is nothing to free."""

"""The bus, as a few small protocols. `kafka` is the real one, `memory` its twin for one process.

Every client has one owning thread: all of its methods are called from there, and its callbacks run there,
inside `poll`, `flush` or `close`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol, runtime_checkable

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of a topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """What was read from the bus.

    Attributes:
        partition: Where it was read.
        offset: Its offset there.
        timestamp_ms: Creation time in milliseconds since 1970, UTC.
        key: None if it was published without one.
        value: The payload; empty for a tombstone.
        headers: In the order published; names may repeat.
    """

    partition: Partition
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """What is to be published. The key decides the partition; without one, any."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """The bus's word on one published record: where it stands, or why it could not be delivered.

    Attributes:
        partition: Where it stands; None if it was not delivered.
        offset: Its offset there; None if it was not delivered.
        error: Why it was not delivered, in words.
        is_too_large: It was not delivered because the topic takes no record as large.
    """

    partition: Partition | None
    offset: int | None
    error: str | None = None
    is_too_large: bool = False


@dataclass(frozen=True, slots=True)
class Committed:
    """What a group has stored for a partition.

    Attributes:
        offset: Read next.
        note: What was written beside it, empty if nothing was.
    """

    offset: int
    note: str = ""


Membership = NewType("Membership", bytes)
"""Who a consumer is in its group, and since which rebalance; what was given away after it is refused."""

DeliveryCallback = Callable[[Delivery], None]
PartitionsCallback = Callable[[Sequence[Partition]], None]
CommitCallback = Callable[[Mapping[Partition, int], str | None], None]
"""Told of each commit: the offsets, and why they could not be stored, or None."""


class BusConsumer(Protocol):
    """Reads topics as a member of a group, and commits by hand."""

    @property
    def is_connected(self) -> bool:
        """Whether the bus can be reached, as of the last few seconds."""
        ...

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
        on_lost: PartitionsCallback,
        on_committed: CommitCallback,
    ) -> None:
        """Joins the group. `on_revoked` may still commit; after `on_lost` the partitions are another's.

        A partition that comes back after that is not paused. Called again with other topics, it keeps those
        partitions that are still wanted, and their positions; called with none, it leaves them all.
        """
        ...

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first.

        With `max_records` 0 it only serves callbacks. A poll that told of new partitions returns nothing: who
        was told may want less from now on.

        Raises:
            TopicMissingError: A topic is not there; what came of others comes with the next poll.
            TransportError: The bus refused for good (authentication...).
        """
        ...

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stops delivering these partitions; what was not yet returned comes after `resume`."""
        ...

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Delivers these partitions again."""
        ...

    def commit(self, offsets: Mapping[Partition, int], note: str = "") -> None:
        """Asks the bus to store for each partition the offset to read next; `on_committed` tells.

        Args:
            offsets: The offset to read next of each partition.
            note: A few words that are stored beside each.
        """
        ...

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Committed]:
        """What the group has stored for these partitions; no entry where it has stored nothing.

        Raises:
            TransportError: The bus does not answer.
        """
        ...

    def membership(self) -> Membership | None:
        """Who this consumer is in its group; None while it is no member."""
        ...

    def high_watermarks(self) -> dict[Partition, int]:
        """The offset after the newest record of each assigned partition.

        Paused partitions are asked for; that may take some seconds when the bus is slow.
        """
        ...

    def close(self) -> None:
        """Leaves the group; gives up waiting for a bus that does not answer."""
        ...


class BusProducer(Protocol):
    """Publishes records, in order, without loss or duplicate of its own making."""

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        """Hands a record over without waiting.

        Returns:
            False if the producer's own buffer is full: poll, and offer the same record again.

        Raises:
            FrameTooLargeError: The record is larger than `max_message_bytes`.
            TransportError: The bus refused for good.
        """
        ...

    def poll(self, timeout_s: float) -> None:
        """Serves delivery callbacks, waiting at most `timeout_s` for the first."""
        ...

    def flush(self, timeout_s: float) -> int:
        """Waits until everything is delivered; returns how many records are not."""
        ...

    def __len__(self) -> int:
        """Records handed over and not yet delivered."""
        ...

    def close(self) -> None:
        """Gives up what is not delivered and frees the client."""
        ...


@runtime_checkable
class TransactionalProducer(BusProducer, Protocol):
    """A producer whose records, and the offsets of what they were made of, become visible together.

    Every method of a transaction may raise `TransactionFailedError` (abort, and publish everything again) or
    `TransportError` (it is over: the bus has forgotten this producer, or does not answer).
    """

    def start(self) -> None:
        """Ends what an earlier producer of the same name left open, and refuses that one from then on."""
        ...

    def begin(self) -> None:
        """Opens a transaction; what is published from now on belongs to it."""
        ...

    def commit(self, offsets: Mapping[Partition, int], membership: Membership) -> None:
        """Delivers what was published, stores the offsets to read next, and makes both visible.

        Args:
            offsets: The offset to read next of each partition.
            membership: Of the consumer that read the partitions, taken while they were still its own.
        """
        ...

    def abort(self) -> None:
        """Takes back everything since `begin`."""
        ...


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be: broker configuration by Kafka's own names, e.g. `retention.ms`."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


class BusAdmin(Protocol):
    """Looks after topics."""

    def partition_counts(self) -> dict[str, int]:
        """The topics there are, with their number of partitions.

        Raises:
            TransportError: No broker answered.
        """
        ...

    def create_topics(self, topics: Sequence[TopicSpec]) -> list[str]:
        """Creates those that are missing, leaves the others as they are, and returns the names created.

        Raises:
            TransportError: The broker refused; names the topic and the reason.
        """
        ...


class BusReader(Protocol):
    """Reads topics as an onlooker: without a group, and without a trace."""

    @property
    def is_connected(self) -> bool:
        """Whether the bus can be reached, as of the last few seconds."""
        ...

    def follow(self, topics: Sequence[str], *, from_start: bool) -> None:
        """Reads all partitions of the topics, from their first record or from what comes from now on.

        Raises:
            TransportError: The bus does not answer, or there is no such topic.
        """
        ...

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first.

        Raises:
            TransportError: The bus refused for good, or has lost this reader.
        """
        ...

    @property
    def is_at_end(self) -> bool:
        """Whether each partition was read to its end, at least once."""
        ...

    def close(self) -> None:
        """Frees the client."""
        ...


class BusLookup(Protocol):
    """Finds single records by their place."""

    def find(self, partition: Partition, offset: int, timeout_s: float) -> Record | None:
        """Returns the record; None if its topic does not keep it any more, or it does not come in time.

        Raises:
            TransportError: The bus refused for good.
        """
        ...

    def close(self) -> None:
        """Frees the client."""
        ...


class Bus(Protocol):
    """Makes clients for what needs no group."""

    def admin(self) -> BusAdmin:
        """Looks after topics."""
        ...

    def producer(self) -> BusProducer:
        """Publishes."""
        ...

    def reader(self) -> BusReader:
        """Reads as an onlooker."""
        ...

    def lookup(self, max_bytes: int) -> BusLookup:
        """Finds single records; keeps up to so many bytes of what it reads on the way."""
        ...

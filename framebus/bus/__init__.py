"""The bus, as a few small protocols. `kafka` is the real one, `memory` its twin for one process.

Every client has one owning thread: all of its methods are called from there, and its callbacks run there,
inside `poll`, `flush` or `close`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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

        With `max_records` 0 it only serves callbacks.

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

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Asks the bus to store for each partition the offset to read next; `on_committed` tells."""
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

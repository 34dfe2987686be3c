"""Reading from Kafka as an onlooker: without a group, and without a trace."""

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from framebus.bus import Partition, Record
from framebus.bus.kafka.client import Connection, Troubles, new_client, topic_metadata
from framebus.bus.kafka.consumer import READ_AHEAD
from framebus.bus.kafka.records import checked_record
from framebus.errors import TransportError
from framebus.settings import KafkaSettings

_REQUEST_TIMEOUT_S = 15.0
_WAIT_S = 0.05
# librdkafka's RD_KAFKA_OFFSET_TAIL: this much below, an offset counts back from the end.
_OFFSET_TAIL = -2_000


class KafkaReader:
    """Follows topics, or reads what stands at known places; see `framebus.bus.BusReader`."""

    def __init__(self, settings: KafkaSettings) -> None:
        group_id = f"{settings.group_id}-reader"  # librdkafka needs one, and asks for its coordinator
        self._troubles = Troubles(
            settings.bootstrap_servers, {KafkaError.GROUP_AUTHORIZATION_FAILED: f"group {group_id}"}
        )
        self._connection = Connection("reader", self._troubles)
        self._consumer = new_client(
            Consumer,
            settings,
            {
                **READ_AHEAD,
                # Who asks for what is not kept any more goes on with the oldest that is.
                "auto.offset.reset": "earliest",
                **settings.options,
                **settings.consumer_options,
                "group.id": group_id,
                "enable.auto.commit": "false",
                "enable.partition.eof": "true",
                "error_cb": self._troubles,
                **self._connection.options,
            },
        )
        # The next offset of each partition; what comes from before it is not wanted.
        self._next: dict[Partition, int] = {}
        # Where each partition ended when that was last reached: markers of transactions are no records.
        self._ended: dict[Partition, int] = {}
        # How far each partition was read, or found to end.
        self._reached: dict[Partition, int] = {}
        self._followed: frozenset[Partition] = frozenset()

    @property
    def is_connected(self) -> bool:
        """Whether a broker can be reached, as of the last few seconds."""
        return self._connection.is_up

    def follow(self, topics: Sequence[str], *, from_start: bool) -> None:
        """Reads all partitions of the topics, from their first record or from what comes from now on.

        From now on: what is published after this returned is read, and what was before is not.

        Raises:
            TransportError: No broker answers, or there is no such topic.
        """
        partitions = self._partitions(topics)
        self._assign(dict.fromkeys(partitions, OFFSET_BEGINNING if from_start else OFFSET_END))
        if not from_start:
            self._wait_for_end_offsets(partitions)
            self._next = self.end_offsets()

    def start_at(self, partition: Partition, offset: int) -> None:
        """Reads one partition from this offset on, beside those that are read already."""
        self.stop_reading(partition)
        self._consumer.incremental_assign([TopicPartition(partition.topic, partition.number, offset)])
        self._next[partition] = offset

    def stop_reading(self, partition: Partition) -> None:
        """Reads one partition no more."""
        if self._next.pop(partition, None) is not None:
            self._ended.pop(partition, None)
            self._reached.pop(partition, None)
            self._consumer.incremental_unassign([TopicPartition(partition.topic, partition.number)])

    def pause(self, partition: Partition) -> None:
        """Lets a partition that is read wait; what was not returned of it yet comes after `resume`."""
        self._consumer.pause([TopicPartition(partition.topic, partition.number)])

    def resume(self, partition: Partition) -> None:
        """Goes on with a partition that was paused."""
        self._consumer.resume([TopicPartition(partition.topic, partition.number)])

    def next_offset(self, partition: Partition) -> int | None:
        """Where reading a partition stands; None if it is not read, or nothing is known of it yet."""
        return self._next.get(partition)

    def has_reached(self, partition: Partition, offset: int) -> bool:
        """Whether all that stands before an offset of a partition that is read was returned.

        The last offsets before it may hold no record, but the marker of a transaction or what was aborted.
        """
        return max(self._next.get(partition, 0), self._ended.get(partition, 0)) >= offset

    def read_newest(self, topics: Sequence[str], count: int, timeout_s: float) -> list[Record]:
        """Reads the newest `count` records of each partition, instead of what was read before.

        Returns:
            What came within `timeout_s`, in order per partition; more than `count` where the broker is
            wrong about where its topic ends.
        """
        partitions = self._partitions(topics)
        self._assign(dict.fromkeys(partitions, _OFFSET_TAIL - count))
        deadline_s = time.monotonic() + timeout_s
        records: list[Record] = []
        while not self.is_at_end and time.monotonic() < deadline_s:
            records += self.poll(count, _WAIT_S)
        return records

    def read_first(self, offsets: Mapping[Partition, int], timeout_s: float) -> dict[Partition, Record]:
        """Reads one record of each partition, instead of what was read before.

        Returns:
            The record at the given offset, or the next that is kept; no entry where none came in time.
        """
        self._assign(offsets)
        deadline_s = time.monotonic() + timeout_s
        first: dict[Partition, Record] = {}
        while len(first) < len(offsets) and time.monotonic() < deadline_s:
            for record in self.poll(1, _WAIT_S):
                first.setdefault(record.partition, record)
        return first

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first.

        Raises:
            TransportError: The bus refused for good, or the reader has lost it for good.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._connection.is_cut_off:
                raise TransportError("the brokers were away, and the reader has lost them; start it again")
            left_s = max(deadline_s - time.monotonic(), 0)
            first = self._consumer.poll(left_s)
            messages = [] if first is None else [first]
            if messages and max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
            self._troubles.raise_if_hopeless()
            records = [record for message in messages if (record := self._wanted(message)) is not None]
            if records or not left_s:
                return records

    @property
    def is_at_end(self) -> bool:
        """Whether each partition was read to its end, at least once."""
        return self._ended.keys() >= self._followed

    def end_offsets(self) -> dict[Partition, int]:
        """The offset after the newest record of each partition that is read, as of the last fetch.

        A partition that was not fetched yet is missing.
        """
        ends = {}
        for assigned in self._consumer.assignment():
            # Not asked for: the light broker (docs/adr/0005-local-broker.md) answers that wrongly.
            low_and_high = self._consumer.get_watermark_offsets(assigned, cached=True)
            if low_and_high is not None and low_and_high[1] >= 0:
                ends[Partition(assigned.topic, assigned.partition)] = low_and_high[1]
        return ends

    def unread(self) -> int:
        """How many records are there, as of the last fetch, and were not returned yet."""
        return sum(
            max(end - max(self._next[partition], self._ended.get(partition, 0)), 0)
            for partition, end in self.end_offsets().items()
            if partition in self._next
        )

    def close(self) -> None:
        """Frees the client."""
        self._consumer.close()

    def _assign(self, offsets: Mapping[Partition, int]) -> None:
        self._consumer.assign(
            [TopicPartition(one.topic, one.number, offset) for one, offset in offsets.items()]
        )
        self._next = {}
        self._ended = {}
        self._reached = {}
        self._followed = frozenset(offsets)

    def _wanted(self, message: Message) -> Record | None:
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            ended, end = (
                Partition(str(message.topic()), int(message.partition() or 0)),
                int(message.offset() or 0),
            )
            if end < self._reached.get(ended, 0):  # an end never goes back, even where transactions are open
                raise TransportError(f"topic {ended.topic} was deleted and made anew; read it again")
            self._ended[ended] = self._reached[ended] = end
            return None
        record = checked_record(message, self._troubles)
        if record is None or record.offset < self._next.get(record.partition, 0):
            return None
        self._next[record.partition] = self._reached[record.partition] = record.offset + 1
        return record

    def _wait_for_end_offsets(self, partitions: Sequence[Partition]) -> None:
        """Waits until each partition was fetched once, and leaves out what is read meanwhile."""
        deadline_s = time.monotonic() + _REQUEST_TIMEOUT_S
        while len(self.end_offsets()) < len(partitions):
            if time.monotonic() > deadline_s:
                missing = sorted(set(partitions) - set(self.end_offsets()))
                which = ", ".join(f"{partition.topic}/{partition.number}" for partition in missing)
                raise TransportError(f"no broker serves {which}; is a broker down?")
            self.poll(1, _WAIT_S)

    def _partitions(self, topics: Sequence[str]) -> list[Partition]:
        return [
            Partition(topic, number) for topic in topics for number in range(self._partition_count(topic))
        ]

    def _partition_count(self, topic: str) -> int:
        metadata = topic_metadata(self._consumer, self._troubles, topic).topics[topic]
        if metadata.error is not None or not metadata.partitions:
            raise TransportError(
                f"topic {topic} does not exist, or this user may not see it; is a consumer for that model "
                "running?"
            )
        return len(metadata.partitions)

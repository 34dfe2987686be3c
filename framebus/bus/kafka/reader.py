"""Reading from Kafka as an onlooker: without a group, and without a trace."""

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from framebus.bus import Partition, Record
from framebus.bus.kafka.client import Troubles, new_client
from framebus.bus.kafka.consumer import READ_AHEAD, checked_record
from framebus.errors import TransportError
from framebus.settings import KafkaSettings

_REQUEST_TIMEOUT_S = 15.0
_WAIT_S = 0.05
# librdkafka's RD_KAFKA_OFFSET_TAIL: this much below, an offset counts back from the end.
_OFFSET_TAIL = -2_000


class KafkaReader:
    """Follows topics, or reads what stands at known places, and never commits anything."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._troubles = Troubles(settings.bootstrap_servers)
        self._consumer = new_client(
            Consumer,
            settings,
            {
                **READ_AHEAD,
                # Who asks for what is not kept any more goes on with the oldest that is.
                "auto.offset.reset": "earliest",
                **settings.options,
                **settings.consumer_options,
                "group.id": f"{settings.group_id}-reader",
                "enable.auto.commit": "false",
                "enable.partition.eof": "true",
                "error_cb": self._troubles,
            },
        )
        # The next offset of each partition; what comes from before it is not wanted.
        self._next: dict[Partition, int] = {}
        # Partitions whose end was reached at least once.
        self._ended: set[Partition] = set()

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
            self._consumer.incremental_unassign([TopicPartition(partition.topic, partition.number)])

    def next_offset(self, partition: Partition) -> int | None:
        """Where reading a partition stands; None if it is not read, or nothing is known of it yet."""
        return self._next.get(partition)

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
        while not self._ended.issuperset(partitions) and time.monotonic() < deadline_s:
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
            TransportError: The bus refused for good.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(deadline_s - time.monotonic(), 0)
            first = self._consumer.poll(left_s)
            messages = [] if first is None else [first]
            if messages and max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
            self._troubles.raise_if_hopeless()
            records = [record for message in messages if (record := self._wanted(message)) is not None]
            if records or not left_s:
                return records

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
            max(end - self._next[partition], 0)
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
        self._ended = set()

    def _wanted(self, message: Message) -> Record | None:
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._ended.add(Partition(str(message.topic()), int(message.partition() or 0)))
            return None
        record = checked_record(message)
        if record is None or record.offset < self._next.get(record.partition, 0):
            return None
        self._next[record.partition] = record.offset + 1
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
        try:
            metadata = self._consumer.list_topics(topic, timeout=_REQUEST_TIMEOUT_S).topics[topic]
        except KafkaException as error:
            self._troubles.raise_if_hopeless()
            raise self._troubles.no_answer(error) from error
        if metadata.error is not None or not metadata.partitions:
            raise TransportError(f"topic {topic} does not exist; is a consumer for that model running?")
        return len(metadata.partitions)

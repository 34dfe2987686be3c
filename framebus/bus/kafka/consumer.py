"""Reading from Kafka."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from framebus.bus import Partition, PartitionsCallback, Record
from framebus.bus.kafka.client import HOPELESS, Troubles, log, new_client
from framebus.errors import TransportError
from framebus.settings import KafkaSettings

_GROUP_OPTIONS = {
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
    # How long cameras wait for another consumer when theirs dies (the default is 45 s). Heartbeats come from
    # librdkafka's own thread, so a busy engine does not miss them.
    "session.timeout.ms": "10000",
}
READ_AHEAD = {
    # What librdkafka fetches ahead comes on top of the pipeline's own bound, so keep it small.
    "queued.max.messages.kbytes": "16384",
    # Per partition: a camera with a backlog must not fill the queue that the others wait in...
    "queued.min.messages": "32",
    # ...and a partition whose share is used up is asked for again soon (the default is a second).
    "fetch.queue.backoff.ms": "20",
    "fetch.wait.max.ms": "100",
}


class KafkaConsumer:
    """A member of the group `settings.group_id`; see `framebus.bus.BusConsumer`."""

    def __init__(self, settings: KafkaSettings, **options: str) -> None:
        self._troubles = Troubles(settings.bootstrap_servers)
        self._consumer = new_client(
            Consumer,
            settings,
            {
                **_GROUP_OPTIONS,
                **READ_AHEAD,
                **options,
                **settings.options,
                **settings.consumer_options,
                "group.id": settings.group_id,
                "enable.auto.commit": "false",
                "enable.auto.offset.store": "false",
                "error_cb": self._troubles,
            },
        )
        # Read by a poll that was to serve callbacks only; delivered by the next one that may.
        self._held: list[Record] = []

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
        on_lost: PartitionsCallback,
    ) -> None:
        """Joins the group."""

        def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
            on_assigned(_from_kafka(partitions))

        def taken(callback: PartitionsCallback) -> Callable[[Consumer, list[TopicPartition]], None]:
            def take(_: Consumer, partitions: list[TopicPartition]) -> None:
                gone = _from_kafka(partitions)
                self._held = [record for record in self._held if record.partition not in gone]
                callback(gone)

            return take

        self._consumer.subscribe(
            list(topics), on_assign=assigned, on_revoke=taken(on_revoked), on_lost=taken(on_lost)
        )

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first."""
        # consume(n, t) waits for all n; so one is waited for, and those behind it are taken as they are.
        first = self._consumer.poll(0 if self._held and max_records else timeout_s)
        messages = [] if first is None else [first]
        if max_records > 1:
            messages += self._consumer.consume(max_records - 1, 0)
        self._troubles.raise_if_hopeless()
        for message in messages:
            record = checked_record(message)
            if record is not None:
                self._held.append(record)
        ready, self._held = self._held[:max_records], self._held[max_records:]
        return ready

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stops delivering these partitions."""
        self._consumer.pause(_to_kafka(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Delivers these partitions again."""
        self._consumer.resume(_to_kafka(partitions))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Stores the offsets to read next and waits until the broker has them."""
        wanted = [
            TopicPartition(partition.topic, partition.number, offset) for partition, offset in offsets.items()
        ]
        try:
            stored = self._consumer.commit(offsets=wanted, asynchronous=False) or []
        except KafkaException as error:
            raise TransportError(f"offsets could not be committed: {error.args[0].str()}") from error
        for partition in stored:
            if partition.error is not None:
                raise TransportError(
                    f"the offset of {partition.topic}/{partition.partition} could not be committed: "
                    f"{partition.error.str()}"
                )

    def high_watermarks(self) -> dict[Partition, int]:
        """The offset after the newest record, as far as fetching has seen it."""
        watermarks = {}
        for assigned in self._consumer.assignment():
            low_and_high = self._consumer.get_watermark_offsets(assigned, cached=True)
            if low_and_high is not None and low_and_high[1] >= 0:
                watermarks[Partition(assigned.topic, assigned.partition)] = low_and_high[1]
        return watermarks

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()


def checked_record(message: Message) -> Record | None:
    """Takes what librdkafka delivered: a record, or word of some passing trouble, which is logged.

    Raises:
        TransportError: Word of trouble that no waiting helps against.
    """
    error = message.error()
    if error is None:
        return _record(message)
    if error.fatal() or error.code() in HOPELESS:
        raise TransportError(f"topic {message.topic()}: {error.str()}")
    if error.code() != KafkaError._PARTITION_EOF:
        log.warning("broker trouble", topic=message.topic(), error=error.str())
    return None


def _record(message: Message) -> Record:
    kind, timestamp_ms = message.timestamp()
    return Record(
        partition=Partition(str(message.topic()), int(message.partition() or 0)),
        offset=int(message.offset() or 0),
        timestamp_ms=0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        key=message.key(),
        value=message.value() or b"",
        headers=tuple(cast("list[tuple[str, bytes | None]]", message.headers() or [])),
    )


def _from_kafka(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(partition.topic, partition.partition) for partition in partitions]


def _to_kafka(partitions: Sequence[Partition]) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.number) for partition in partitions]

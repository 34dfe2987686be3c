"""Reading from Kafka."""

import os
import socket
import threading
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

from framebus.bus import CommitCallback, Headers, Partition, PartitionsCallback, Record
from framebus.bus.kafka.client import HOPELESS, Connection, Troubles, log, new_client
from framebus.errors import TopicMissingError, TransportError
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
# One request for one partition, while the poll thread waits.
_WATERMARK_TIMEOUT_S = 0.5
_CLOSE_TIMEOUT_S = 5.0


class KafkaConsumer:
    """A member of the group `settings.group_id`; see `framebus.bus.BusConsumer`."""

    def __init__(self, settings: KafkaSettings, **options: str) -> None:
        self._troubles = Troubles(settings.bootstrap_servers)
        self._connection = Connection(settings.bootstrap_servers)
        self._consumer = new_client(
            Consumer,
            settings,
            {
                **_GROUP_OPTIONS,
                **READ_AHEAD,
                # What tells the members of a group apart in Kafka's own tools.
                "client.id": f"{socket.gethostname()}-{os.getpid()}",
                **options,
                **settings.options,
                **settings.consumer_options,
                "group.id": settings.group_id,
                "enable.auto.commit": "false",
                "enable.auto.offset.store": "false",
                "error_cb": self._troubles,
                "on_commit": self._committed,
                **self._connection.options,
            },
        )
        # Read by a poll that was to serve callbacks only; delivered by the next one that may.
        self._held: list[Record] = []
        self._paused: set[Partition] = set()
        self._on_committed: CommitCallback | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a broker can be reached, as of the last few seconds."""
        return self._connection.is_up

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
        on_lost: PartitionsCallback,
        on_committed: CommitCallback,
    ) -> None:
        """Joins the group."""
        self._on_committed = on_committed

        def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
            on_assigned(_from_kafka(partitions))

        def taken(callback: PartitionsCallback) -> Callable[[Consumer, list[TopicPartition]], None]:
            def take(_: Consumer, partitions: list[TopicPartition]) -> None:
                gone = _from_kafka(partitions)
                self._held = [record for record in self._held if record.partition not in gone]
                # librdkafka would remember the pause, and read nothing of a partition that comes back.
                self.resume(gone)
                callback(gone)

            return take

        if not topics:
            self._consumer.unsubscribe()
            return
        self._consumer.subscribe(
            list(topics), on_assign=assigned, on_revoke=taken(on_revoked), on_lost=taken(on_lost)
        )

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first."""
        ready = sum(record.partition not in self._paused for record in self._held) if max_records else 0
        # consume(n, t) waits for all n; so one is waited for, and those behind it are taken as they are.
        first = self._consumer.poll(0 if ready else timeout_s)
        # Held at once: if its partition is revoked meanwhile, it goes with it.
        self._hold([] if first is None else [first])
        if (wanted := max_records - ready - 1) > 0:
            self._hold(self._consumer.consume(wanted, 0))
        self._troubles.raise_if_hopeless()
        return self._release(max_records)

    def _hold(self, messages: Sequence[Message]) -> None:
        trouble: TransportError | None = None
        for message in messages:
            try:
                record = checked_record(message)
            except TransportError as error:  # what came with it is not lost
                trouble = error
                continue
            if record is not None:
                self._held.append(record)
        if trouble is not None:
            raise trouble

    def _release(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        kept: list[Record] = []
        for record in self._held:
            if len(records) < max_records and record.partition not in self._paused:
                records.append(record)
            else:
                kept.append(record)
        self._held = kept
        return records

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stops delivering these partitions."""
        self._consumer.pause(_to_kafka(partitions))
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Delivers these partitions again."""
        self._consumer.resume(_to_kafka(partitions))
        self._paused.difference_update(partitions)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Asks the broker to store the offsets to read next."""
        wanted = [TopicPartition(one.topic, one.number, offset) for one, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=wanted, asynchronous=True)
        except KafkaException as error:
            self._committed(error.args[0], wanted)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if self._on_committed is None:
            return
        # Of what went wrong with one partition only, librdkafka also makes the error of the whole.
        common = None if any(one.error is not None for one in partitions) else error
        answers: dict[str | None, dict[Partition, int]] = {}
        for one in partitions:
            trouble = one.error or common
            said = None if trouble is None else trouble.str()
            answers.setdefault(said, {})[Partition(one.topic, one.partition)] = one.offset
        for said, offsets in answers.items():
            self._on_committed(offsets, said)

    def high_watermarks(self) -> dict[Partition, int]:
        """The offset after the newest record: what fetching has seen, and asked for where it is paused."""
        watermarks = {}
        for assigned in self._consumer.assignment():
            partition = Partition(assigned.topic, assigned.partition)
            try:
                low_and_high = (
                    self._consumer.get_watermark_offsets(assigned, timeout=_WATERMARK_TIMEOUT_S)
                    if partition in self._paused
                    else self._consumer.get_watermark_offsets(assigned, cached=True)
                )
            except KafkaException:  # the broker is slow; the next time will tell
                break
            if low_and_high is not None and low_and_high[1] >= 0:
                watermarks[partition] = low_and_high[1]
        return watermarks

    def close(self) -> None:
        """Leaves the group, or gives that up when the broker does not answer."""
        closing = threading.Thread(target=self._consumer.close, name="close", daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)
        if closing.is_alive():
            log.warning("the broker does not answer; leaving without a word")


def checked_record(message: Message) -> Record | None:
    """Takes what librdkafka delivered: a record, or word of some passing trouble, which is logged.

    Raises:
        TransportError: Word of trouble that no waiting helps against.
    """
    error = message.error()
    if error is None:
        return _record(message)
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise TopicMissingError(str(message.topic()))
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
        headers=_headers(message),
    )


def _headers(message: Message) -> Headers:
    try:
        return tuple(cast("list[tuple[str, bytes | None]]", message.headers() or []))
    except SystemError:  # how confluent-kafka tells of a header whose name is not UTF-8
        log.warning(
            "headers cannot be read, going on without them",
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
        )
        return ()


def _from_kafka(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(partition.topic, partition.partition) for partition in partitions]


def _to_kafka(partitions: Sequence[Partition]) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.number) for partition in partitions]

"""Reading from Kafka."""

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from framebus.bus import CommitCallback, Committed, Membership, Partition, PartitionsCallback, Record
from framebus.bus.kafka.client import Connection, Troubles, log, new_client
from framebus.bus.kafka.records import checked_record
from framebus.errors import TransportError
from framebus.settings import KafkaSettings

_GROUP_OPTIONS = {
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
    # How long cameras wait for another consumer when theirs dies (the default is 45 s). Heartbeats come from
    # librdkafka's own thread, so a busy engine does not miss them.
    "session.timeout.ms": "10000",
}
# How long the partitions of a static member wait for it to come back: the default of Kafka.
_STATIC_SESSION_TIMEOUT_MS = "45000"
READ_AHEAD = {
    # Nothing of a transaction that was aborted, or is not ended yet.
    "isolation.level": "read_committed",
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
_COMMITTED_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 5.0


class KafkaConsumer:
    """A member of the group `settings.group_id`; see `framebus.bus.BusConsumer`."""

    def __init__(self, settings: KafkaSettings, **options: str) -> None:
        self._troubles = Troubles(
            settings.bootstrap_servers,
            {KafkaError.GROUP_AUTHORIZATION_FAILED: f"group {settings.group_id}"},
        )
        self._settings = settings
        self._options = {
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
        }
        self._consumer = self._new_consumer()
        # Read by a poll that was to serve callbacks only; delivered by the next one that may.
        self._held: list[Record] = []
        self._paused: set[Partition] = set()
        self._told_of_new = False
        self._join: Callable[[], None] = lambda: None
        self._lose: PartitionsCallback = lambda _: None
        self._on_committed: CommitCallback | None = None
        self._stranger: bytes = self._consumer.consumer_group_metadata()

    def _new_consumer(self, *, is_up: bool = True) -> Consumer:
        connection = self._connection = Connection("consumer", self._troubles, is_up=is_up)

        def committed(error: KafkaError | None, partitions: list[TopicPartition]) -> None:
            if connection is self._connection:  # and not of a client that was given up
                self._committed(error, partitions)

        return new_client(
            Consumer, self._settings, {**self._options, "on_commit": committed, **connection.options}
        )

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

        def take(callback: PartitionsCallback, gone: Sequence[Partition]) -> None:
            self._held = [record for record in self._held if record.partition not in gone]
            # librdkafka would remember the pause, and read nothing of a partition that comes back.
            self.resume(gone)
            callback(gone)

        def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            if consumer is self._consumer:  # and not one that was given up
                self._told_of_new = True
                on_assigned(_from_kafka(partitions))

        def taken(callback: PartitionsCallback) -> Callable[[Consumer, list[TopicPartition]], None]:
            def tell(consumer: Consumer, partitions: list[TopicPartition]) -> None:
                if consumer is self._consumer:
                    take(callback, _from_kafka(partitions))

            return tell

        def join() -> None:
            if topics:
                self._consumer.subscribe(
                    list(topics), on_assign=assigned, on_revoke=taken(on_revoked), on_lost=taken(on_lost)
                )
            else:
                self._consumer.unsubscribe()

        self._join, self._lose = join, partial(take, on_lost)
        self._join()

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first."""
        if self._connection.is_cut_off:
            self._renew()
        ready = sum(record.partition not in self._paused for record in self._held) if max_records else 0
        # consume(n, t) waits for all n; so one is waited for, and those behind it are taken as they are.
        first = self._consumer.poll(0 if ready else timeout_s)
        # Held at once: if its partition is revoked meanwhile, it goes with it.
        self._hold([] if first is None else [first])
        if (wanted := max_records - ready - 1) > 0:
            self._hold(self._consumer.consume(wanted, 0))
        self._troubles.raise_if_hopeless()
        told_of_new, self._told_of_new = self._told_of_new, False
        return [] if told_of_new else self._release(max_records)

    def _renew(self) -> None:
        """Goes on with a new client; the partitions of the old one may be another's by now."""
        log.warning("the consumer knows no broker any more; going on with a new one")
        old = self._consumer
        self._lose(_from_kafka(old.assignment()))
        self._consumer = self._new_consumer(is_up=self.is_connected)
        threading.Thread(target=old.close, name="close", daemon=True).start()
        self._join()

    def _hold(self, messages: Sequence[Message]) -> None:
        trouble: TransportError | None = None
        for message in messages:
            try:
                record = checked_record(message, self._troubles)
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

    def commit(self, offsets: Mapping[Partition, int], note: str = "") -> None:
        """Asks the broker to store the offsets to read next."""
        wanted = [TopicPartition(one.topic, one.number, offset, note) for one, offset in offsets.items()]
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

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Committed]:
        """What the group has stored for these partitions."""
        try:
            answers = self._consumer.committed(_to_kafka(partitions), timeout=_COMMITTED_TIMEOUT_S)
        except KafkaException as error:
            raise TransportError(f"the committed offsets cannot be read: {error.args[0].str()}") from error
        return {
            Partition(one.topic, one.partition): Committed(one.offset, one.metadata or "")
            for one in answers
            if one.error is None and one.offset >= 0
        }

    def membership(self) -> Membership | None:
        """Who this consumer is in its group; None while it is no member."""
        membership = self._consumer.consumer_group_metadata()
        # With that of one who never joined, a broker would take offsets from anybody.
        return None if membership == self._stranger else Membership(membership)

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


def static_member(instance_id: str) -> dict[str, str]:
    """Options of a consumer that finds its partitions again after a restart (KIP-345)."""
    return {"group.instance.id": instance_id, "session.timeout.ms": _STATIC_SESSION_TIMEOUT_MS}


def _from_kafka(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(partition.topic, partition.partition) for partition in partitions]


def _to_kafka(partitions: Sequence[Partition]) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.number) for partition in partitions]

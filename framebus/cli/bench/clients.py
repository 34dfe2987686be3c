"""What the bus alone costs per frame: its clients and its broker, with nothing between."""

import statistics
import time
import uuid
from collections.abc import Callable, Sequence

from framebus.bus import Delivery, OutgoingRecord, Partition, Record
from framebus.bus.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer, KafkaReader
from framebus.cli.bench.usage import Usage
from framebus.errors import TransportError
from framebus.settings import Settings
from framebus.topics import detections_topic, topic_specs

_MODEL = "bare-clients"
_POLL_S = 0.02
_WARM_UP_S = 1.0
# So long without a frame, and something is wrong.
_STUCK_S = 60.0
_SAMPLED_RECORDS = 20
_READ_TIMEOUT_S = 10.0


class BareClients:
    """A consumer and a producer as a worker has them, in a process of their own (`child.Child`).

    Args:
        settings: Which broker and topics.
        broker_pid: The broker's process.
    """

    def __init__(self, settings: Settings, broker_pid: int) -> None:
        self._settings = settings
        self._broker_pid = broker_pid
        KafkaAdmin(settings.kafka).create_topics(topic_specs(settings.topics, _MODEL, frames=[]))

    def measure(self, frames_per_s: float, seconds: float, detections_bytes: int) -> dict[str, float]:
        """Reads frames at a rate, publishes a record of that size for each, and commits.

        The rate matters: the slower frames come, the fewer of them share a request, and the more each costs.

        Args:
            frames_per_s: The rate.
            seconds: How long; there has to be a backlog of so many frames.
            detections_bytes: Size of what is published for each.

        Returns:
            clients_ms and broker_ms: CPU time of either per frame, in milliseconds.

        Raises:
            TransportError: The broker failed, or there are fewer frames.
        """
        kafka = self._settings.kafka.model_copy(update={"group_id": f"bench-{uuid.uuid4().hex}"})
        consumer, producer = KafkaConsumer(kafka), KafkaProducer(kafka)
        try:
            relay = _Relay(self._settings, consumer, producer, bytes(detections_bytes))
            relay.run(frames_per_s, _WARM_UP_S)
            clients_s, broker_s = time.process_time(), Usage.of([self._broker_pid]).cpu_s
            first = relay.acknowledged
            relay.run(frames_per_s, seconds)
            clients_s = time.process_time() - clients_s
            broker_s = Usage.of([self._broker_pid]).cpu_s - broker_s
        finally:
            consumer.close()
            producer.close()
        done = relay.acknowledged - first
        return {"clients_ms": 1000 * clients_s / done, "broker_ms": 1000 * broker_s / done}


def mean_bytes(settings: Settings, topics: Sequence[str]) -> int:
    """How large the newest records of these topics are, on average.

    Raises:
        TransportError: There are none.
    """
    reader = KafkaReader(settings.kafka)
    try:
        records = reader.read_newest(topics, _SAMPLED_RECORDS, _READ_TIMEOUT_S)
    finally:
        reader.close()
    if not records:
        raise TransportError(f"nothing was published to {', '.join(topics)}")
    return round(statistics.mean(len(record.value) for record in records))


class _Relay:
    """Publishes something for each frame it reads, and commits what was acknowledged."""

    def __init__(
        self, settings: Settings, consumer: KafkaConsumer, producer: KafkaProducer, value: bytes
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._value = value
        self._topic = detections_topic(_MODEL)
        self._at_once = settings.consumer.max_in_flight_frames
        self._commit_interval_s = settings.consumer.commit_interval_ms / 1000
        self._committed_s = time.monotonic()
        self._next: dict[Partition, int] = {}
        self._read = 0
        self.acknowledged = 0
        consumer.subscribe(
            [settings.topics.frames],
            on_assigned=_ignore,
            on_revoked=_ignore,
            on_lost=_ignore,
            on_committed=_ignore,
        )

    def run(self, frames_per_s: float, seconds: float) -> None:
        """Relays at that rate, from the first frame on, for so long."""
        self._wait_for_one()
        began_s, already = time.monotonic(), self._read
        while (now_s := time.monotonic()) < began_s + seconds:
            due = int((now_s - began_s) * frames_per_s) - (self._read - already)
            if due > 0:
                self._relay(min(due, self._at_once))
            self._producer.poll(1 / frames_per_s)
            if now_s - self._committed_s > self._commit_interval_s and self._next:
                self._consumer.commit(self._next)
                self._committed_s, self._next = now_s, {}

    def _wait_for_one(self) -> None:
        end_s, before = time.monotonic() + _STUCK_S, self.acknowledged
        while self.acknowledged == before:
            self._relay(1)
            self._producer.poll(_POLL_S)
            if time.monotonic() > end_s:
                raise TransportError(f"the bare clients relayed {before} frames, and no more")

    def _relay(self, most: int) -> None:
        for record in self._consumer.poll(most, _POLL_S):
            self._read += 1
            answer = OutgoingRecord(self._topic, record.key, self._value, record.headers)
            while not self._producer.publish(answer, self._delivered(record)):
                self._producer.poll(_POLL_S)

    def _delivered(self, record: Record) -> Callable[[Delivery], None]:
        def delivered(delivery: Delivery) -> None:
            if delivery.error is not None:
                raise TransportError(f"the bare clients cannot publish: {delivery.error}")
            self.acknowledged += 1
            self._next[record.partition] = record.offset + 1

        return delivered


def _ignore(*_: object) -> None:
    """For what the bus has to tell."""

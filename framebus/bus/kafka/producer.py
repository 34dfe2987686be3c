"""Publishing to Kafka."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from operator import itemgetter

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from framebus.bus import Delivery, DeliveryCallback, OutgoingRecord, Partition
from framebus.bus.kafka.client import Connection, Troubles, log, new_client
from framebus.bus.kafka.refusals import is_refusal
from framebus.errors import FrameTooLargeError, TopicMissingError, TransportError
from framebus.settings import KafkaSettings

_PRODUCER_OPTIONS = {
    "enable.idempotence": "true",
    # The hash of Java and of kafka-python; librdkafka's own would put a camera on another partition.
    "partitioner": "murmur2_random",
    "linger.ms": "5",
    "message.max.bytes": "10485760",
    "queue.buffering.max.kbytes": "65536",
}
_NO_SUCH_TOPIC = frozenset(
    {KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
)
# What was on its way to a partition when its topic was deleted, is told that its handle was destroyed.
_TOPIC_IS_GONE = _NO_SUCH_TOPIC | {KafkaError._DESTROY}
_PURGE_TIMEOUT_S = 1.0
# From 0.2 s on, confluent-kafka's flush calls back after a fatal error was raised, which fails.
_FLUSH_STEP_S = 0.1
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


class KafkaProducer:
    """An idempotent producer; see `framebus.bus.BusProducer`."""

    _ends_at_fatal = True

    def __init__(self, settings: KafkaSettings, **options: str) -> None:
        self._troubles = Troubles(
            settings.bootstrap_servers,
            {
                KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: (
                    f"transactional id {options.get('transactional.id')}"
                )
            },
            ends_at_fatal=self._ends_at_fatal,
        )
        # What a client that is replaced has not delivered, each with its number; None while none is.
        self._undelivered: list[tuple[int, OutgoingRecord, DeliveryCallback | None]] | None = None
        self._numbers = count()
        self._settings = settings
        self._options = {
            **_PRODUCER_OPTIONS,
            **options,
            **settings.options,
            **settings.producer_options,
            "error_cb": self._troubles,
        }
        self._producer = self._new_producer()

    def _new_producer(self, *, is_up: bool = True) -> Producer:
        self._connection = Connection("producer", self._troubles, is_up=is_up)
        return new_client(Producer, self._settings, {**self._options, **self._connection.options})

    @property
    def is_connected(self) -> bool:
        """Whether a broker can be reached, as of the last few seconds."""
        return self._connection.is_up

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        """Hands a record over without waiting; False if the buffer is full."""
        self._troubles.raise_if_hopeless()
        number = next(self._numbers)

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None and self._undelivered is not None and error.code() in _PURGED:
                self._undelivered.append((number, record, on_delivery))
                return
            if error is not None:
                self._troubles.not_delivered(error, record.topic)
            if on_delivery is not None:
                on_delivery(_delivery(error, message))

        try:
            self._producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                on_delivery=delivered,
            )
        except BufferError:
            return False
        except KafkaException as error:
            reason = error.args[0]
            if reason.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise FrameTooLargeError(
                    f"a record of {len(record.value or b'')} bytes and its headers is too large for topic "
                    f"{record.topic}; raise FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES, and the topic's own limit"
                ) from error
            if reason.code() in _NO_SUCH_TOPIC:
                raise TopicMissingError(record.topic) from error
            raise TransportError(f"topic {record.topic}: {reason.str()}") from error
        return True

    def poll(self, timeout_s: float) -> None:
        """Serves delivery callbacks."""
        if self._connection.is_cut_off:
            self._renew()
        with self._failing():
            self._producer.poll(timeout_s)
        self._troubles.raise_if_hopeless()

    def _renew(self) -> None:
        """Goes on with a new client, and hands it what the old one has not delivered, in order."""
        log.warning("the producer knows no broker any more; going on with a new one", records=len(self))
        undelivered: list[tuple[int, OutgoingRecord, DeliveryCallback | None]] = []
        self._undelivered = undelivered
        try:
            self._purge()
        finally:
            self._undelivered = None
        self._producer = self._new_producer(is_up=self.is_connected)
        # What was under way comes back after what was not yet sent.
        for _, record, on_delivery in sorted(undelivered, key=itemgetter(0)):
            if not self.publish(record, on_delivery) and on_delivery is not None:
                on_delivery(Delivery(None, None, "the new client's buffer is full"))

    def flush(self, timeout_s: float) -> int:
        """Waits until everything is delivered; returns how many records are not."""
        deadline_s = time.monotonic() + timeout_s
        with self._failing():
            while True:
                left_s = max(0.0, deadline_s - time.monotonic())
                missing = self._producer.flush(min(left_s, _FLUSH_STEP_S))
                if not missing or not left_s:
                    return missing

    def __len__(self) -> int:
        return len(self._producer)

    def close(self) -> None:
        """Gives up what is not delivered."""
        self._purge()

    def _purge(self) -> None:
        self._producer.purge()
        self.flush(_PURGE_TIMEOUT_S)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Tells a client that has failed from a broker that wants none of it."""
        try:
            yield
        except KafkaException as error:
            if is_refusal(error.args[0]):
                raise self._troubles.refusal(error.args[0]) from error
            raise TransportError(f"the producer has failed: {error.args[0].str()}") from error


def _delivery(error: KafkaError | None, message: Message) -> Delivery:
    if error is not None:
        is_missing = error.code() in _TOPIC_IS_GONE
        why = str(TopicMissingError(str(message.topic()))) if is_missing else error.str()
        return Delivery(None, None, why, is_too_large=error.code() == KafkaError.MSG_SIZE_TOO_LARGE)
    return Delivery(Partition(str(message.topic()), int(message.partition() or 0)), message.offset())

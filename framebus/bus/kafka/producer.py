"""Publishing to Kafka."""

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from framebus.bus import Delivery, DeliveryCallback, OutgoingRecord, Partition
from framebus.bus.kafka.client import Troubles, new_client
from framebus.errors import FrameTooLargeError, TransportError
from framebus.settings import KafkaSettings

_PRODUCER_OPTIONS = {
    "enable.idempotence": "true",
    # The hash of Java and of kafka-python; librdkafka's own would put a camera on another partition.
    "partitioner": "murmur2_random",
    "linger.ms": "5",
    "message.max.bytes": "10485760",
    "queue.buffering.max.kbytes": "65536",
}


class KafkaProducer:
    """An idempotent producer; see `framebus.bus.BusProducer`."""

    def __init__(self, settings: KafkaSettings, **options: str) -> None:
        self._troubles = Troubles(settings.bootstrap_servers)
        self._producer = new_client(
            Producer,
            settings,
            {
                **_PRODUCER_OPTIONS,
                **options,
                **settings.options,
                **settings.producer_options,
                "error_cb": self._troubles,
            },
        )

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        """Hands a record over without waiting; False if the buffer is full."""
        self._troubles.raise_if_hopeless()

        def delivered(error: KafkaError | None, message: Message) -> None:
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
                    f"a record of {len(record.value or b'')} bytes for {record.topic} is larger than the "
                    "Kafka option message.max.bytes"
                ) from error
            raise TransportError(f"topic {record.topic}: {reason.str()}") from error
        return True

    def poll(self, timeout_s: float) -> None:
        """Serves delivery callbacks."""
        self._producer.poll(timeout_s)
        self._troubles.raise_if_hopeless()

    def flush(self, timeout_s: float) -> int:
        """Waits until everything is delivered; returns how many records are not."""
        return self._producer.flush(timeout_s)

    def __len__(self) -> int:
        return len(self._producer)

    def close(self) -> None:
        """Gives up what is not delivered."""
        self._producer.purge()
        self._producer.flush(1)


def _delivery(error: KafkaError | None, message: Message) -> Delivery:
    if error is not None:
        return Delivery(None, None, error.str(), is_too_large=error.code() == KafkaError.MSG_SIZE_TOO_LARGE)
    return Delivery(Partition(str(message.topic()), int(message.partition() or 0)), message.offset())

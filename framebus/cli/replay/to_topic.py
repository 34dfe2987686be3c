"""Publishes what is replayed on another topic, byte for byte."""

from framebus.bus import Delivery, OutgoingRecord, Record
from framebus.bus.kafka import KafkaProducer
from framebus.cli.replay.tally import Tally, place_of
from framebus.errors import FrameTooLargeError, TransportError
from framebus.settings import Settings

_POLL_TIMEOUT_S = 0.2
# What a broker has not taken by then, it will not take: the user is told.
_DELIVERY_TIMEOUT_MS = 30_000
_MAX_UNDELIVERED_BYTES = 32 * 2**20


class TopicSink:
    """Publishes keys, values and headers as they are; the key's partition is that of any producer.

    Args:
        settings: Where the brokers are, and how large a record may be.
        topic: Where the records go; it exists.
        tally: Learns of each record once it was acknowledged or refused.
    """

    def __init__(self, settings: Settings, topic: str, tally: Tally) -> None:
        self._topic = topic
        self._tally = tally
        self._undelivered_bytes = 0
        self._failure: TransportError | None = None
        self._producer = KafkaProducer(
            settings.kafka,
            **{
                "message.max.bytes": str(settings.topics.max_message_bytes),
                "message.timeout.ms": str(_DELIVERY_TIMEOUT_MS),
                # A broker that refuses one record refuses all of its batch.
                "batch.num.messages": "1",
                "linger.ms": "0",
            },
        )

    def __str__(self) -> str:
        return self._topic

    def take(self, record: Record) -> None:
        """Hands a record over, and waits while too much is not acknowledged.

        Raises:
            TransportError: The bus failed; some of what was handed over was not published.
        """
        place, value_bytes = place_of(record), len(record.value)

        def delivered(delivery: Delivery) -> None:
            self._undelivered_bytes -= value_bytes
            if delivery.error is None:
                self._tally.add(value_bytes)
            elif delivery.is_too_large:
                self._tally.refuse(place, FrameTooLargeError(f"topic {self._topic} takes none as large"))
            else:
                self._failure = self._failure or TransportError(
                    f"{place} was not published on {self._topic}: {delivery.error}"
                )

        # A tombstone is read as an empty value.
        outgoing = OutgoingRecord(self._topic, record.key, record.value or None, record.headers)
        try:
            while not self._producer.publish(outgoing, delivered):
                self._serve(_POLL_TIMEOUT_S)
        except FrameTooLargeError as error:
            self._tally.refuse(place, error)
            return
        self._undelivered_bytes += value_bytes
        self.serve()
        while self._undelivered_bytes > _MAX_UNDELIVERED_BYTES:
            self._serve(_POLL_TIMEOUT_S)

    def serve(self) -> None:
        """Learns what was acknowledged meanwhile.

        Raises:
            TransportError: The bus failed; some was not published.
        """
        self._serve(0)

    def finish(self) -> None:
        """Waits until everything is acknowledged, or given up by the client.

        Raises:
            TransportError: The bus failed; some was not published.
        """
        while len(self._producer):
            self._serve(_POLL_TIMEOUT_S)

    def close(self) -> None:
        """Frees the client."""
        self._producer.close()

    def _serve(self, timeout_s: float) -> None:
        self._producer.poll(timeout_s)
        if self._failure is not None:
            raise self._failure

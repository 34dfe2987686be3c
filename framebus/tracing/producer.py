"""Publishing with a span for each record, which goes along in the record's headers."""

import re
from collections.abc import Mapping
from dataclasses import replace

from framebus import wire
from framebus.bus import (
    BusProducer,
    Delivery,
    DeliveryCallback,
    Membership,
    OutgoingRecord,
    Partition,
    TransactionalProducer,
)
from framebus.errors import FrameTooLargeError
from framebus.frames import TraceContext
from framebus.tracing import Span, Tracing

# https://www.w3.org/TR/trace-context/#sampled-flag
_UNSAMPLED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][02468ace]")


def traced(producer: BusProducer, tracing: Tracing | None, *, but: str | None = None) -> BusProducer:
    """The same producer with a span for each record; without tracing, the producer itself.

    A record that carries a trace which is not sampled is published as it is: at high rates most of them are
    such, and a span that nobody sees would cost as much again as the one above it.

    Args:
        producer: Publishes.
        tracing: None: off.
        but: A topic whose records are published as they are.
    """
    if tracing is None:
        return producer
    kind = _TracedTransactions if isinstance(producer, TransactionalProducer) else _TracedProducer
    return kind(producer, tracing, but)


class _TracedProducer:
    """See `BusProducer`."""

    def __init__(self, producer: BusProducer, tracing: Tracing, but: str | None) -> None:
        self._producer, self._tracing, self._but = producer, tracing, but

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        parent = wire.trace_of(record.headers)
        if record.topic == self._but or (parent is not None and _UNSAMPLED.fullmatch(parent.traceparent)):
            return self._producer.publish(record, on_delivery)
        # If the client has no room for it, this one is never ended, and so was never there.
        span = self._start(record, parent)

        def delivered(delivery: Delivery) -> None:
            _end(span, delivery)
            if on_delivery is not None:
                on_delivery(delivery)

        if (trace := span.trace) is not None:
            record = replace(record, headers=wire.with_trace(record.headers, trace))
        try:
            return self._producer.publish(record, delivered)
        except FrameTooLargeError as error:
            span.end(error_type=error.reason, message=str(error))
            raise

    def _start(self, record: OutgoingRecord, parent: TraceContext | None) -> Span:
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": record.topic,
            "messaging.message.body.size": len(record.value or b""),
        }
        if record.key is not None:
            attributes["messaging.kafka.message.key"] = record.key.decode(errors="replace")
        return self._tracing.start(
            f"publish {record.topic}", "producer", parent=parent, attributes=attributes
        )

    def poll(self, timeout_s: float) -> None:
        self._producer.poll(timeout_s)

    def flush(self, timeout_s: float) -> int:
        return self._producer.flush(timeout_s)

    def __len__(self) -> int:
        return len(self._producer)

    def close(self) -> None:
        self._producer.close()


class _TracedTransactions(_TracedProducer):
    """See `TransactionalProducer`."""

    _producer: TransactionalProducer

    def start(self) -> None:
        self._producer.start()

    def begin(self) -> None:
        self._producer.begin()

    def commit(self, offsets: Mapping[Partition, int], membership: Membership) -> None:
        self._producer.commit(offsets, membership)

    def abort(self) -> None:
        self._producer.abort()


def _end(span: Span, delivery: Delivery) -> None:
    if delivery.error is not None:
        reason = FrameTooLargeError.reason if delivery.is_too_large else "not_delivered"
        span.end(error_type=reason, message=delivery.error)
    elif delivery.partition is not None and delivery.offset is not None:
        span.end(
            {
                "messaging.destination.partition.id": str(delivery.partition.number),
                "messaging.kafka.offset": delivery.offset,
            }
        )

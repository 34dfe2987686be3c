import pytest

from framebus.bus import Delivery, DeliveryCallback, Membership, OutgoingRecord, TransactionalProducer
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.errors import FrameTooLargeError
from framebus.tracing.producer import traced
from tests.pipelines import memory_bus, read
from tests.spans import PARENT, PARENT_ID, TRACE_ID, KeptSpans, recording
from tests.transactions import MemoryTransactionalProducer

BELONGS = (("traceparent", PARENT.traceparent.encode()), ("tracestate", b"vendor=1"))


@pytest.fixture
def bus() -> MemoryBus:
    return memory_bus()


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


def test_without_tracing_it_is_the_producer_itself(bus: MemoryBus) -> None:
    producer = MemoryProducer(bus)

    assert traced(producer, None) is producer


def test_a_record_carries_the_span_of_its_publishing(bus: MemoryBus, kept: KeptSpans) -> None:
    told: list[Delivery] = []
    headers = (("ce_id", b"7"), *BELONGS, ("extra", None))
    with recording(kept) as tracing:
        producer = traced(MemoryProducer(bus), tracing)
        assert producer.publish(OutgoingRecord("frames", b"cam-1", b"jpeg", headers), told.append)
        assert len(producer) == 1
        assert kept.all() == []
        assert producer.flush(5) == 0

    [record] = read(bus, "frames", 1)
    span = kept.one("publish frames")
    assert (span.trace_id, span.parent_id, span.kind) == (TRACE_ID, PARENT_ID, "producer")
    assert record.headers == (
        ("ce_id", b"7"),
        ("extra", None),
        ("traceparent", span.traceparent),
        ("tracestate", b"vendor=1"),
    )
    assert span.error is None
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "frames",
        "messaging.destination.partition.id": str(record.partition.number),
        "messaging.kafka.message.key": "cam-1",
        "messaging.kafka.offset": 0,
        "messaging.message.body.size": 4,
    }
    assert told == [Delivery(record.partition, 0)]


def test_a_record_that_belongs_to_no_trace_begins_one(bus: MemoryBus, kept: KeptSpans) -> None:
    with recording(kept) as tracing:
        producer = traced(MemoryProducer(bus), tracing)
        producer.publish(OutgoingRecord("frames", None, b"jpeg", (("traceparent", b"\xff"),)))
        producer.flush(5)

    [record] = read(bus, "frames", 1)
    span = kept.one("publish frames")
    assert span.parent_id is None
    assert record.headers == (("traceparent", span.traceparent),)
    assert "messaging.kafka.message.key" not in span.attributes


def test_a_record_of_a_trace_that_is_not_sampled_is_left_as_it_is(bus: MemoryBus, kept: KeptSpans) -> None:
    headers = (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-02".encode()),)
    with recording(kept) as tracing:
        producer = traced(MemoryProducer(bus), tracing)
        producer.publish(OutgoingRecord("frames", b"cam-1", b"jpeg", headers))
        producer.flush(5)

    [record] = read(bus, "frames", 1)
    assert record.headers == headers
    assert kept.all() == []


def test_the_records_of_one_topic_are_left_as_they_are(bus: MemoryBus, kept: KeptSpans) -> None:
    with recording(kept) as tracing:
        producer = traced(MemoryProducer(bus), tracing, but="frames.dead")
        producer.publish(OutgoingRecord("frames.dead", b"cam-1", b"jpeg", BELONGS))
        producer.flush(5)

    [record] = read(bus, "frames.dead", 1)
    assert record.headers == BELONGS
    assert kept.all() == []


def test_a_record_that_the_client_has_no_room_for_has_one_span_in_the_end(
    bus: MemoryBus, kept: KeptSpans
) -> None:
    with recording(kept) as tracing:
        producer = traced(MemoryProducer(bus, max_undelivered_records=1), tracing)
        record = OutgoingRecord("frames", b"cam-1", b"jpeg")
        assert producer.publish(record)
        assert not producer.publish(record)
        producer.poll(0)
        assert producer.publish(record)
        producer.flush(5)

    spans = kept.named("publish frames")
    assert [span.attributes["messaging.kafka.offset"] for span in spans] == [0, 1]
    assert [dict(record.headers)["traceparent"] for record in read(bus, "frames", 2)] == [
        span.traceparent for span in spans
    ]


class RefusingProducer(MemoryProducer):
    """Takes no record: at once, or when it is asked what became of it."""

    error: FrameTooLargeError | Delivery

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        if isinstance(self.error, FrameTooLargeError):
            raise self.error
        assert on_delivery is not None
        on_delivery(self.error)
        return True


@pytest.mark.parametrize(
    ("delivery", "error"),
    [
        (Delivery(None, None, "too large for the broker", is_too_large=True), "too_large"),
        (Delivery(None, None, "the broker is away"), "not_delivered"),
    ],
)
def test_what_is_not_delivered_is_an_error(
    bus: MemoryBus, kept: KeptSpans, delivery: Delivery, error: str
) -> None:
    told: list[Delivery] = []
    refusing = RefusingProducer(bus)
    refusing.error = delivery
    with recording(kept) as tracing:
        traced(refusing, tracing).publish(OutgoingRecord("frames", b"cam-1", b"jpeg"), told.append)

    assert kept.one("publish frames").error == (error, delivery.error)
    assert told == [delivery]


def test_what_is_too_large_for_the_client_is_an_error(bus: MemoryBus, kept: KeptSpans) -> None:
    refusing = RefusingProducer(bus)
    refusing.error = FrameTooLargeError("too large for the client")
    with recording(kept) as tracing, pytest.raises(FrameTooLargeError, match="too large for the client"):
        traced(refusing, tracing).publish(OutgoingRecord("frames", b"cam-1", b"jpeg"))

    assert kept.one("publish frames").error == ("too_large", "too large for the client")


def test_a_producer_of_transactions_stays_one(bus: MemoryBus, kept: KeptSpans) -> None:
    steps: list[str] = []
    with recording(kept) as tracing:
        plain = MemoryTransactionalProducer(bus, "group", step=steps.append)
        producer = traced(plain, tracing)
        assert isinstance(producer, TransactionalProducer)
        producer.start()
        producer.begin()
        producer.publish(OutgoingRecord("frames", b"cam-1", b"taken back"))
        producer.abort()
        producer.begin()
        producer.publish(OutgoingRecord("frames", b"cam-1", b"jpeg"))
        producer.commit({}, Membership(b"member"))
        producer.close()

    [record] = read(bus, "frames", 1)
    assert record.value == b"jpeg"
    assert dict(record.headers)["traceparent"] == kept.one("publish frames").traceparent
    assert steps == ["begin", "publish", "abort", "begin", "publish", "commit"]
    assert not isinstance(traced(MemoryProducer(bus), tracing), TransactionalProducer)

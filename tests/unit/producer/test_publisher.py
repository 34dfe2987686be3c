from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from framebus.bus import BusProducer
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.errors import TransportError
from framebus.frames import EncodedFrame
from framebus.wire import decode_frame
from producer.buffer import FrameBuffer
from producer.metrics import ProducerMetrics
from producer.publisher import Publisher
from producer.tally import Tally
from tests.unit.producer.brokers import DistantBroker

MakePublisher = Callable[[BusProducer], Publisher]


@pytest.fixture
def buffer() -> FrameBuffer:
    return FrameBuffer(1_000, 10**9)


@pytest.fixture
def tally(metrics: ProducerMetrics) -> Tally:
    tally = Tally(metrics)
    tally.expect(["gate"])
    return tally


@pytest.fixture
def make_publisher(buffer: FrameBuffer, tally: Tally) -> MakePublisher:
    return lambda producer: Publisher(producer, "frames", buffer, tally)


@pytest.fixture
def reasons(registry: CollectorRegistry) -> Callable[[], dict[str, int]]:
    def read() -> dict[str, int]:
        return {
            sample.labels["reason"]: int(sample.value)
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == "framebus_unpublished_frames_total"
        }

    return read


Reasons = Callable[[], dict[str, int]]


def fill(buffer: FrameBuffer, frames: int, size_bytes: int = 10) -> list[EncodedFrame]:
    filled = [
        EncodedFrame("gate", f"gate-{number}", datetime.now(UTC), b"x" * size_bytes)
        for number in range(len(buffer), len(buffer) + frames)
    ]
    for frame in filled:
        buffer.put(frame)
    return filled


def test_frames_reach_the_bus_in_order_and_are_counted(
    bus: MemoryBus, buffer: FrameBuffer, tally: Tally, make_publisher: MakePublisher
) -> None:
    frames = fill(buffer, 100)
    publisher = make_publisher(MemoryProducer(bus))

    while buffer or publisher:
        publisher.step()

    positions = dict.fromkeys(bus.partitions_of("frames"), 0)
    records = bus.read(positions, 1_000, 0)
    assert len({record.partition for record in records}) == 1
    assert [decode_frame(record).frame_id for record in records] == [frame.frame_id for frame in frames]
    assert tally.summary({}).published == 100


def test_few_frames_are_handed_over_while_the_broker_is_away(
    buffer: FrameBuffer, make_publisher: MakePublisher
) -> None:
    fill(buffer, 200)
    broker = DistantBroker()
    publisher = make_publisher(broker)

    for _ in range(35):
        publisher.step()

    assert len(publisher) == len(broker) == 32
    assert len(buffer) == 168


def test_few_bytes_are_handed_over_while_the_broker_is_away(
    buffer: FrameBuffer, make_publisher: MakePublisher
) -> None:
    fill(buffer, 10, size_bytes=3 * 2**20)
    publisher = make_publisher(DistantBroker())

    for _ in range(10):
        publisher.step()

    assert len(publisher) == 3


def test_a_client_that_is_full_gets_the_same_frame_again_later(
    buffer: FrameBuffer, tally: Tally, make_publisher: MakePublisher
) -> None:
    frames = fill(buffer, 5)
    broker = DistantBroker(accepts=2)
    publisher = make_publisher(broker)
    for _ in range(5):
        publisher.step()
    assert (len(broker), len(buffer)) == (2, 3)

    broker.come_back()
    while buffer or publisher:
        publisher.step()

    assert [dict(record.headers)["ce_id"].decode() for record in broker.acknowledged] == [  # type: ignore[union-attr]
        frame.frame_id for frame in frames
    ]
    assert tally.summary({}).published == 5


def test_a_frame_that_is_too_large_is_dropped_and_the_next_one_goes_out(
    buffer: FrameBuffer, tally: Tally, make_publisher: MakePublisher, reasons: Reasons
) -> None:
    fill(buffer, 1, size_bytes=101)
    fill(buffer, 1)
    broker = DistantBroker(max_record_bytes=100)
    broker.come_back()
    publisher = make_publisher(broker)

    while buffer or publisher:
        publisher.step()

    assert reasons() == {"too_large": 1}
    assert tally.summary({}).published == 1


def test_a_frame_that_the_client_gave_up_is_dropped_and_the_next_one_goes_out(
    buffer: FrameBuffer, tally: Tally, make_publisher: MakePublisher, reasons: Reasons
) -> None:
    broker = DistantBroker()
    publisher = make_publisher(broker)
    fill(buffer, 3)
    for _ in range(3):
        publisher.step()
    broker.lose_records("Local: Message timed out")
    broker.come_back()
    fill(buffer, 2)

    while buffer or publisher:
        publisher.step()

    assert reasons() == {"not_delivered": 3}
    assert tally.summary({}).published == 2


def test_a_bus_that_refuses_for_good_is_an_error(buffer: FrameBuffer, make_publisher: MakePublisher) -> None:
    broker = DistantBroker()
    broker.refuse_for_good("wrong password")
    fill(buffer, 1)

    with pytest.raises(TransportError, match="wrong password"):
        make_publisher(broker).step()


def test_what_is_left_at_the_end_is_dropped(
    buffer: FrameBuffer, tally: Tally, make_publisher: MakePublisher, reasons: Reasons
) -> None:
    fill(buffer, 40)
    broker = DistantBroker()
    publisher = make_publisher(broker)
    for _ in range(5):
        publisher.step()

    publisher.close()

    assert broker.closed
    assert reasons() == {"stopped": 40}
    assert (tally.summary({}).dropped, len(buffer), len(publisher)) == (40, 0, 0)


def test_a_broker_that_keeps_frames_waiting_stalls(
    buffer: FrameBuffer, make_publisher: MakePublisher
) -> None:
    broker = DistantBroker()
    publisher = make_publisher(broker)
    assert publisher.stalled_s == 0
    fill(buffer, 1)
    publisher.step()
    first_s = publisher.stalled_s
    assert publisher.stalled_s > first_s > 0

    broker.come_back()
    publisher.step()

    assert publisher.stalled_s == 0


def test_frames_that_the_client_gives_up_are_no_sign_of_life(
    buffer: FrameBuffer, make_publisher: MakePublisher
) -> None:
    broker = DistantBroker()
    publisher = make_publisher(broker)
    fill(buffer, 1)
    publisher.step()
    first_s = publisher.stalled_s

    broker.lose_records("Local: Message timed out")
    assert publisher.stalled_s > first_s
    fill(buffer, 1)
    publisher.step()
    assert publisher.stalled_s > first_s

    broker.come_back()
    publisher.step()
    assert publisher.stalled_s == 0


def test_a_frame_that_the_topic_refuses_as_too_large_is_dropped_and_is_a_sign_of_life(
    buffer: FrameBuffer, make_publisher: MakePublisher, reasons: Reasons
) -> None:
    broker = DistantBroker()
    publisher = make_publisher(broker)
    fill(buffer, 1)
    publisher.step()

    broker.lose_records("Broker: Message size too large", are_too_large=True)

    assert reasons() == {"too_large": 1}
    assert publisher.stalled_s == 0


def test_a_topic_that_is_not_there_loses_the_frame(
    buffer: FrameBuffer, make_publisher: MakePublisher, reasons: Reasons
) -> None:
    fill(buffer, 1)
    publisher = make_publisher(MemoryProducer(MemoryBus()))

    while buffer or publisher:
        publisher.step()

    assert reasons() == {"not_delivered": 1}

import threading
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from framebus.bus import TopicSpec
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.errors import TransportError
from producer import app
from producer.app import wait_for_topic
from tests.unit.producer.brokers import DistantBroker


class LateBroker:
    """A `BusAdmin` whose broker answers at the third request."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._requests = 0

    def partition_counts(self) -> dict[str, int]:
        self._requests += 1
        if self._requests < 3:
            raise TransportError("no broker answered")
        return self._bus.partition_counts()

    def create_topics(self, topics: Sequence[TopicSpec]) -> list[str]:
        return self._bus.create_topics(topics)


class SilentBroker(MemoryBus):
    """A `BusAdmin` whose request takes until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.released = threading.Event()

    def partition_counts(self) -> dict[str, int]:
        self.asked.set()
        self.released.wait()
        return {}


def test_a_topic_that_is_there_lets_the_producer_start(bus: MemoryBus) -> None:
    wait_for_topic(bus, MemoryProducer(bus), "frames", threading.Event())


def test_a_missing_topic_is_an_error_that_says_how_to_create_it(bus: MemoryBus) -> None:
    with pytest.raises(
        TransportError, match=r"topic pictures does not exist.*`framebus topics create --topic pictures`"
    ):
        wait_for_topic(bus, MemoryProducer(bus), "pictures", threading.Event())


def test_a_broker_that_is_away_is_waited_for(bus: MemoryBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_RETRY_INTERVAL_S", 0.01)

    with capture_logs() as lines:
        wait_for_topic(LateBroker(bus), MemoryProducer(bus), "frames", threading.Event())

    assert [line["event"] for line in lines] == ["waiting for a broker"] * 2


def test_a_stop_ends_the_wait_for_a_broker_that_does_not_answer() -> None:
    broker, stop = SilentBroker(), threading.Event()
    waiting = threading.Thread(target=wait_for_topic, args=(broker, DistantBroker(), "frames", stop))
    waiting.start()
    broker.asked.wait()

    stop.set()

    waiting.join(5)
    assert not waiting.is_alive()
    broker.released.set()


def test_a_broker_that_refuses_for_good_is_not_waited_for() -> None:
    broker, producer = SilentBroker(), DistantBroker()
    producer.refuse_for_good("wrong password")

    with pytest.raises(TransportError, match="wrong password"):
        wait_for_topic(broker, producer, "frames", threading.Event())
    broker.released.set()

import threading

import pytest

from framebus.bus import DeliveryCallback, OutgoingRecord, Record
from framebus.bus.memory import MemoryBus, MemoryProducer, MemoryReader
from framebus.errors import BusRefusedError, TransportError
from tests.controlled_worker import ControlledWorker, at_work, load
from tests.obedient_models import ObedientModels
from tests.pipelines import wait_until


class FailingReader(MemoryReader):
    """Fails as often as its bus is told to."""

    def __init__(self, bus: "FailingBus") -> None:
        super().__init__(bus)
        self._failing = bus
        self.is_closed = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        assert not self.is_closed
        if self._failing.troubles:
            raise self._failing.troubles.pop(0)
        return super().poll(max_records, timeout_s)

    def close(self) -> None:
        self.is_closed = True
        super().close()


class FailingBus(MemoryBus):
    """A bus whose readers fail with each of its troubles in turn."""

    def __init__(self, *troubles: TransportError) -> None:
        super().__init__()
        self.troubles = list(troubles)
        self.readers: list[FailingReader] = []

    def reader(self) -> MemoryReader:
        self.readers.append(FailingReader(self))
        return self.readers[-1]


def test_a_reader_that_fails_is_replaced_and_misses_nothing(obedient: ObedientModels) -> None:
    bus = FailingBus()
    worker = ControlledWorker(obedient, bus)
    worker.command(load("a"))
    with at_work(worker):
        bus.troubles.append(TransportError("the broker is gone"))
        wait_until(lambda: not bus.troubles)
        worker.command(load("b"), load("a", loaded=False))
        wait_until(lambda: "b" in worker.models.wanted[-1].loads)
        worker.until_beats(2)

    assert not worker.models.wanted[-1].load("a").loaded
    assert len(bus.readers) == 2
    assert all(reader.is_closed for reader in bus.readers)


def test_a_reader_that_fails_while_it_catches_up_leaves_nothing_half_wanted(obedient: ObedientModels) -> None:
    bus = FailingBus(TransportError("not yet"))
    worker = ControlledWorker(obedient, bus)
    worker.command(*(load(f"m{number}") for number in range(3)))
    worker.catch_up()

    [wanted] = worker.models.wanted
    assert len(wanted.loads) == 3
    assert [reader.is_closed for reader in bus.readers] == [True, False]


def test_who_cannot_catch_up_gives_up_when_its_patience_ends(obedient: ObedientModels) -> None:
    bus = FailingBus(*(TransportError("the broker is gone") for _ in range(100)))
    worker = ControlledWorker(obedient, bus, patience_s=1)

    with pytest.raises(TransportError, match="the broker is gone"):
        worker.catch_up()

    assert worker.models.wanted == []
    assert all(reader.is_closed for reader in bus.readers)


def test_who_is_told_to_stop_while_it_cannot_catch_up_stops(obedient: ObedientModels) -> None:
    bus = FailingBus(*(TransportError("the broker is gone") for _ in range(10_000)))
    worker = ControlledWorker(obedient, bus, patience_s=1_000)
    thread = threading.Thread(target=worker.catch_up, daemon=True)
    thread.start()
    wait_until(lambda: len(bus.readers) >= 1)
    worker.stop.set()
    thread.join(timeout=20)

    assert not thread.is_alive()


def test_a_bus_that_refuses_this_worker_is_not_asked_again(obedient: ObedientModels) -> None:
    refused = BusRefusedError("topic framebus.commands: not for you")
    worker = ControlledWorker(obedient, FailingBus(refused))
    with pytest.raises(BusRefusedError, match="not for you"):
        worker.catch_up()
    assert len(worker.bus.readers) == 1  # type: ignore[attr-defined]

    bus = FailingBus()
    worker = ControlledWorker(obedient, bus)
    worker.catch_up()
    worker.start()
    worker.until_beats(1)
    bus.troubles.append(refused)
    wait_until(lambda: bool(worker.failures))

    assert worker.failures == [refused]
    wait_until(lambda: worker.said()[-1].value == b"")


class DeafProducer(MemoryProducer):
    """Delivers nothing while its bus is deaf."""

    def __init__(self, bus: "DeafBus") -> None:
        super().__init__(bus)
        self._deaf = bus
        self.most = 0
        self.is_closed = False

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        taken = super().publish(record, on_delivery)
        self.most = max(self.most, len(self))
        return taken

    def poll(self, timeout_s: float) -> None:
        self._deaf.polls += 1
        if not self._deaf.is_deaf:
            super().poll(timeout_s)

    def close(self) -> None:
        self.is_closed = True
        super().close()


class DeafBus(MemoryBus):
    """A bus that takes no records while it is deaf."""

    def __init__(self) -> None:
        super().__init__()
        self.is_deaf = True
        self.polls = 0
        self.producers: list[DeafProducer] = []

    def producer(self) -> MemoryProducer:
        self.producers.append(DeafProducer(self))
        return self.producers[-1]


def test_a_bus_that_takes_no_beats_is_not_flooded_with_them_afterwards(obedient: ObedientModels) -> None:
    bus = DeafBus()
    worker = ControlledWorker(obedient, bus)
    with at_work(worker):
        wait_until(lambda: bus.polls >= 10)
        [producer] = bus.producers
        assert worker.said() == []
        assert 1 <= producer.most <= 2
        bus.is_deaf = False
        worker.until_beats(4)

    assert producer.most <= 3, "the last word comes on top"
    assert producer.is_closed


class RefusingProducer(MemoryProducer):
    """Refuses the records of its bus's troubles, one each."""

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        troubles: list[TransportError] = self._bus.troubles  # type: ignore[attr-defined]
        if troubles:
            raise troubles.pop(0)
        return super().publish(record, on_delivery)


class RefusingBus(MemoryBus):
    """A bus whose producer fails with each of its troubles in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles: list[TransportError] = []

    def producer(self) -> MemoryProducer:
        return RefusingProducer(self)


def test_a_beat_that_cannot_be_published_ends_nothing(obedient: ObedientModels) -> None:
    bus = RefusingBus()
    with at_work(ControlledWorker(obedient, bus)) as worker:
        worker.until_beats(1)
        bus.troubles.append(TransportError("topic framebus.workers: the broker is gone"))
        wait_until(lambda: not bus.troubles)
        worker.command(load("a"))
        wait_until(lambda: "a" in worker.models.wanted[-1].loads)
        worker.until_beats(2)

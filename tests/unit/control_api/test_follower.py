import pytest

from control_api import follower
from control_api.follower import Follower
from framebus.bus import OutgoingRecord, Record, TopicSpec
from framebus.bus.memory import MemoryBus, MemoryReader
from framebus.errors import BusRefusedError, ControlRecordError, TransportError
from tests.workers import wait_until

TOPIC = TopicSpec("framebus.commands", 1, -1, {})


class Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def restart(self) -> None:
        self.told.append("restart")

    def take(self, record: Record) -> None:
        if record.value == b"nonsense":
            raise ControlRecordError("that is nonsense")
        if record.value == b"bug":
            raise KeyError("a bug")
        self.told.append(record.value.decode())

    def reached_end(self) -> None:
        self.told.append("end")


class FailingReader(MemoryReader):
    """Fails once it has read everything, as often as there are errors left."""

    def __init__(self, bus: MemoryBus, errors: list[Exception]) -> None:
        super().__init__(bus)
        self._errors = errors

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        records = super().poll(max_records, timeout_s)
        if not records and self._errors:
            raise self._errors.pop(0)
        return records


class FailingBus(MemoryBus):
    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self._errors = list(errors)

    def reader(self) -> MemoryReader:
        return FailingReader(self, self._errors)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "_RETRY_INTERVAL_S", 0.01)


def publish(bus: MemoryBus, *values: bytes) -> None:
    bus.create_topics([TOPIC])
    for value in values:
        bus.append(OutgoingRecord(TOPIC.name, b"key", value))


def test_all_that_is_there_is_read_and_then_what_comes() -> None:
    bus, notes = MemoryBus(), Notes()
    publish(bus, b"1", b"2")
    one = Follower(bus, TOPIC, from_start=True, listener=notes)
    assert not one.is_current
    one.start()
    try:
        wait_until(lambda: one.is_current)
        assert notes.told == ["restart", "1", "2", "end"]

        publish(bus, b"3")
        wait_until(lambda: notes.told[-1] == "3")
    finally:
        one.stop()
        one.join()


def test_what_was_there_before_is_not_read_if_only_what_comes_counts() -> None:
    bus, notes = MemoryBus(), Notes()
    publish(bus, b"old")
    one = Follower(bus, TOPIC, from_start=False, listener=notes)
    one.start()
    try:
        wait_until(lambda: one.is_current)
        publish(bus, b"new")
        wait_until(lambda: notes.told[-1] == "new")
    finally:
        one.stop()
        one.join()

    assert notes.told == ["restart", "end", "new"]


def test_a_topic_that_is_missing_is_created() -> None:
    bus, notes = MemoryBus(), Notes()
    one = Follower(bus, TOPIC, from_start=True, listener=notes)
    one.start()
    try:
        wait_until(lambda: one.is_current)
    finally:
        one.stop()
        one.join()

    assert bus.partition_counts() == {TOPIC.name: 1}


def test_a_record_that_makes_no_sense_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    bus, notes = MemoryBus(), Notes()
    publish(bus, b"1", b"nonsense", b"2")
    one = Follower(bus, TOPIC, from_start=True, listener=notes)
    one.start()
    try:
        wait_until(lambda: notes.told == ["restart", "1", "2", "end"])
    finally:
        one.stop()
        one.join()

    assert "that is nonsense" in capsys.readouterr().out


def test_a_bus_that_was_lost_is_read_again_from_the_beginning() -> None:
    bus, notes = FailingBus(TransportError("the broker is away")), Notes()
    publish(bus, b"1")
    one = Follower(bus, TOPIC, from_start=True, listener=notes)
    one.start()
    try:
        wait_until(lambda: notes.told[-1:] == ["end"] and notes.told.count("restart") == 2)
    finally:
        one.stop()
        one.join()

    assert notes.told[-3:] == ["restart", "1", "end"]
    assert one.failure is None


def test_a_bus_that_refuses_for_good_ends_it() -> None:
    refusal = BusRefusedError("wrong password")
    bus, notes = FailingBus(refusal), Notes()
    one = Follower(bus, TOPIC, from_start=True, listener=notes)
    one.start()
    wait_until(lambda: one.failure is not None)
    one.stop()
    one.join()

    assert one.failure is refusal
    assert not one.is_current


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_ends_it_and_is_not_hidden() -> None:
    bus, notes = MemoryBus(), Notes()
    publish(bus, b"bug")
    one = Follower(bus, TOPIC, from_start=True, listener=notes)
    one.start()
    wait_until(lambda: one.failure is not None)
    one.stop()
    one.join()

    assert isinstance(one.failure, KeyError)


def test_one_that_was_never_started_can_be_stopped() -> None:
    one = Follower(MemoryBus(), TOPIC, from_start=True, listener=Notes())
    one.stop()
    one.join()

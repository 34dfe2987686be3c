import asyncio
from collections.abc import Callable

import pytest

from control_api import desired as desired_module
from control_api.desired import Desired
from control_api.follower import Follower
from framebus.bus import OutgoingRecord, TopicSpec
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.control import LoadCommand, Overrides, load_record
from framebus.errors import TransportError
from tests.workers import wait_until

TOPIC = TopicSpec("framebus.commands", 1, -1, {})


@pytest.fixture
def following() -> Callable[[Desired, MemoryBus], Follower]:
    def follow(desired: Desired, bus: MemoryBus) -> Follower:
        follower = Follower(bus, TOPIC, from_start=True, listener=desired)
        follower.start()
        wait_until(lambda: follower.is_current)
        return follower

    return follow


Following = Callable[[Desired, MemoryBus], Follower]


def test_what_was_written_is_known_when_writing_returns(following: Following) -> None:
    bus = MemoryBus()
    desired = Desired(bus, TOPIC.name)
    follower = following(desired, bus)
    commands = {"people": LoadCommand(loaded=True, generation=2), "cars": LoadCommand(loaded=False)}
    try:
        assert desired.command("people") is None
        assert desired.overrides("people") == Overrides()

        asyncio.run(desired.load(commands))
        assert {name: desired.command(name) for name in commands} == commands

        asyncio.run(desired.override("people", Overrides(confidence=30)))
        assert desired.overrides("people") == Overrides(confidence=30)

        asyncio.run(desired.override("people", Overrides()))
        assert desired.overrides("people") == Overrides()
    finally:
        follower.stop()
        follower.join()


def test_another_replica_knows_what_this_one_wrote(following: Following) -> None:
    bus = MemoryBus()
    first, second = Desired(bus, TOPIC.name), Desired(bus, TOPIC.name)
    followers = [following(first, bus), following(second, bus)]
    try:
        asyncio.run(first.load({"people": LoadCommand(loaded=True)}))
        wait_until(lambda: second.command("people") == LoadCommand(loaded=True))
    finally:
        for follower in followers:
            follower.stop()
            follower.join()


def test_while_all_is_read_again_the_last_state_holds() -> None:
    bus = MemoryBus()
    bus.create_topics([TOPIC])
    bus.append(load_record(TOPIC.name, "people", LoadCommand(loaded=True)))
    bus.append(load_record(TOPIC.name, "cars", LoadCommand(loaded=True)))
    reader = bus.reader()
    reader.follow([TOPIC.name], from_start=True)
    people, cars = reader.poll(10, 0)
    desired = Desired(bus, TOPIC.name)
    desired.take(people)
    desired.take(cars)
    desired.reached_end()

    # Compaction has taken `cars` away meanwhile.
    desired.restart()
    assert desired.command("cars") == LoadCommand(loaded=True)
    desired.take(people)
    desired.reached_end()

    assert desired.command("people") == LoadCommand(loaded=True)
    assert desired.command("cars") is None


def test_a_command_that_the_broker_does_not_take_is_an_error() -> None:
    desired = Desired(MemoryBus(), "no.such.topic")

    with pytest.raises(TransportError, match=r"did not take the command: topic no\.such\.topic does not"):
        asyncio.run(desired.load({"people": LoadCommand(loaded=True)}))


class DeafBus(MemoryBus):
    """Acknowledges nothing."""

    def producer(self) -> MemoryProducer:
        return DeafProducer(self)


class DeafProducer(MemoryProducer):
    def poll(self, timeout_s: float) -> None:
        pass


def test_a_broker_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desired_module, "_ACKNOWLEDGE_TIMEOUT_S", 0.05)
    bus = DeafBus()

    with pytest.raises(TransportError, match="no broker acknowledged the command"):
        asyncio.run(Desired(bus, TOPIC.name).load({"people": LoadCommand(loaded=True)}))


def test_a_command_that_cannot_be_read_back_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desired_module, "_READ_BACK_TIMEOUT_S", 0.05)
    bus = MemoryBus()
    bus.create_topics([TOPIC])

    with pytest.raises(TransportError, match="cannot be read back"):
        asyncio.run(Desired(bus, TOPIC.name).load({"people": LoadCommand(loaded=True)}))


def test_nothing_to_say_is_not_written() -> None:
    asyncio.run(Desired(MemoryBus(), "no.such.topic").load({}))


def test_what_is_no_command_is_passed_over_by_who_waits_for_a_later_one(following: Following) -> None:
    bus = MemoryBus()
    bus.create_topics([TOPIC])
    bus.append(OutgoingRecord(TOPIC.name, b"nonsense", b"{}"))
    desired = Desired(bus, TOPIC.name)
    follower = following(desired, bus)
    try:
        asyncio.run(desired.load({"people": LoadCommand(loaded=True)}))
    finally:
        follower.stop()
        follower.join()

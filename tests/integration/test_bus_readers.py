"""What a reader of every bus must do: one suite, held by the memory bus, by Tansu and by Apache Kafka."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from framebus.bus import (
    BusConsumer,
    BusReader,
    OutgoingRecord,
    Record,
    TopicSpec,
)
from framebus.errors import TransportError
from tests.integration.buses import TIMEOUT_S, Bus, kafka, memory, publish
from tests.kafka import unique


@pytest.fixture(params=["memory", "tansu", "apache"])
def bus(request: pytest.FixtureRequest) -> Bus:
    return memory() if request.param == "memory" else kafka(request.getfixturevalue(request.param))


@pytest.fixture
def topic(bus: Bus) -> str:
    name = unique("frames")
    bus.admin.create_topics([TopicSpec(name, 4, 1, {"max.message.bytes": "10485760"})])
    return name


def numbered(*numbers: int) -> list[tuple[bytes | None, bytes]]:
    """Records with keys of their own, so that they are spread over the partitions."""
    return [(f"key-{number}".encode(), str(number).encode()) for number in numbers]


@pytest.fixture
def new_reader(bus: Bus) -> Iterator[Callable[..., BusReader]]:
    with ExitStack() as readers:

        def follow(*topics: str, from_start: bool) -> BusReader:
            reader = readers.enter_context(closing(bus.new_reader()))
            reader.follow(topics, from_start=from_start)
            return reader

        yield follow


def read_to_end(reader: BusReader, max_records: int = 7) -> list[Record]:
    """Reads until the reader says that it is at its end."""
    records: list[Record] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while not reader.is_at_end:
        assert time.monotonic() < deadline_s
        records += reader.poll(max_records, 0.1)
    return records


def read_on(reader: BusReader | BusConsumer, count: int) -> list[Record]:
    """Reads so many more records."""
    records: list[Record] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(records) < count:
        assert time.monotonic() < deadline_s
        records += reader.poll(100, 0.1)
    return records


def nothing(*_: object) -> None:
    """What a member does about what it is told of its group."""


def values(records: list[Record]) -> list[int]:
    return sorted(int(record.value) for record in records)


def test_a_reader_has_read_all_that_was_there_when_it_says_so(
    bus: Bus, topic: str, new_reader: Callable[..., BusReader]
) -> None:
    publish(bus, topic, *numbered(*range(100)))
    reader = new_reader(topic, from_start=True)
    assert not reader.is_at_end

    records = read_to_end(reader)

    assert values(records) == list(range(100))
    assert len({record.partition for record in records}) == 4
    assert {record.headers for record in records} == {(("n", b"1"),)}


def test_a_reader_of_empty_topics_is_soon_at_their_end(
    topic: str, new_reader: Callable[..., BusReader]
) -> None:
    assert read_to_end(new_reader(topic, from_start=True)) == []
    assert read_to_end(new_reader(topic, from_start=False)) == []


def test_a_reader_is_at_the_end_where_most_partitions_are_empty(
    bus: Bus, topic: str, new_reader: Callable[..., BusReader]
) -> None:
    publish(bus, topic, *((b"key", str(number).encode()) for number in range(21)))

    records = read_to_end(new_reader(topic, from_start=True))

    assert [int(record.value) for record in records] == list(range(21)), "one key is in one order"


def test_a_reader_goes_on_after_the_end_and_stays_there(
    bus: Bus, topic: str, new_reader: Callable[..., BusReader]
) -> None:
    publish(bus, topic, *numbered(1, 2))
    reader = new_reader(topic, from_start=True)
    read_to_end(reader)
    publish(bus, topic, *numbered(*range(3, 30)))

    assert reader.is_at_end, "it was there once"
    assert values(read_on(reader, 27)) == list(range(3, 30))
    assert reader.is_at_end


def test_a_reader_from_now_on_reads_what_comes_and_nothing_that_was(
    bus: Bus, topic: str, new_reader: Callable[..., BusReader]
) -> None:
    publish(bus, topic, *numbered(*range(50)))
    reader = new_reader(topic, from_start=False)
    publish(bus, topic, *numbered(*range(50, 90)))

    assert values(read_on(reader, 40)) == list(range(50, 90))
    read_to_end(reader)
    assert reader.poll(100, 0.2) == []


def test_a_reader_of_several_topics_is_at_the_end_of_each(
    bus: Bus, topic: str, new_reader: Callable[..., BusReader]
) -> None:
    other = unique("commands")
    bus.admin.create_topics([TopicSpec(other, 1, 1, {"cleanup.policy": "compact"})])
    publish(bus, topic, *numbered(*range(30)))
    publish(bus, other, *numbered(*range(30, 35)))
    reader = new_reader(topic, other, from_start=True)

    records = read_to_end(reader)

    assert values(records) == list(range(35))
    assert {record.partition.topic for record in records} == {topic, other}


def test_a_reader_takes_at_most_what_it_asks_for_and_loses_nothing(
    bus: Bus, topic: str, new_reader: Callable[..., BusReader]
) -> None:
    publish(bus, topic, *numbered(*range(20)))
    reader = new_reader(topic, from_start=True)
    records: list[Record] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(records) < 20:
        assert time.monotonic() < deadline_s
        some = reader.poll(3, 0.1)
        assert len(some) <= 3
        records += some

    assert values(records) == list(range(20))


def test_a_reader_that_has_nothing_to_read_waits_no_longer_than_it_may(
    topic: str, new_reader: Callable[..., BusReader]
) -> None:
    reader = new_reader(topic, from_start=True)
    read_to_end(reader)
    started_s = time.monotonic()

    assert reader.poll(10, 0.3) == []
    assert 0.2 < time.monotonic() - started_s < 10


def test_a_reader_reads_tombstones(bus: Bus, topic: str, new_reader: Callable[..., BusReader]) -> None:
    with closing(bus.new_producer()) as producer:
        assert producer.publish(OutgoingRecord(topic, b"ssd/loaded", None))
        assert producer.flush(TIMEOUT_S) == 0

    [record] = read_to_end(new_reader(topic, from_start=True))

    assert (record.key, record.value) == (b"ssd/loaded", b"")


def test_readers_take_nothing_from_each_other_nor_from_a_group(
    bus: Bus, topic: str, new_reader: Callable[..., BusReader]
) -> None:
    publish(bus, topic, *numbered(*range(10)))
    readers = [new_reader(topic, from_start=True) for _ in range(2)]
    assert [values(read_to_end(reader)) for reader in readers] == [list(range(10))] * 2

    with closing(bus.new_consumer()) as member:
        member.subscribe(
            [topic], on_assigned=nothing, on_revoked=nothing, on_lost=nothing, on_committed=nothing
        )
        assert values(read_on(member, 10)) == list(range(10))


def test_a_reader_may_follow_anew(bus: Bus, topic: str, new_reader: Callable[..., BusReader]) -> None:
    other = unique("frames")
    bus.admin.create_topics([TopicSpec(other, 2, 1, {})])
    publish(bus, topic, *numbered(*range(10)))
    publish(bus, other, *numbered(*range(10, 15)))
    reader = new_reader(topic, from_start=True)
    read_to_end(reader)

    reader.follow([other], from_start=True)
    assert not reader.is_at_end
    assert values(read_to_end(reader)) == list(range(10, 15))


def test_a_topic_that_is_not_there_cannot_be_followed(bus: Bus, new_reader: Callable[..., BusReader]) -> None:
    with pytest.raises(TransportError, match="does not exist"):
        new_reader(unique("absent"), from_start=True)

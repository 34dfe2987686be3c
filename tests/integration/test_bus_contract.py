"""What every bus must do: one suite, held by the memory bus, by Tansu and by Apache Kafka alike."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing

import pytest

from framebus.bus import (
    BusConsumer,
    Committed,
    Delivery,
    OutgoingRecord,
    Partition,
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


class Member:
    """A consumer that has joined, and what the group told it."""

    def __init__(self, consumer: BusConsumer, topic: str) -> None:
        self.consumer = consumer
        self.assigned: list[Partition] = []
        self.revoked: list[Partition] = []
        self.committed: dict[Partition, int] = {}
        self.subscribe(topic)

    def subscribe(self, *topics: str) -> None:
        self.consumer.subscribe(
            topics,
            on_assigned=self.assigned.extend,
            on_revoked=self.revoked.extend,
            on_lost=self.revoked.extend,
            on_committed=self._on_committed,
        )

    def _on_committed(self, offsets: Mapping[Partition, int], error: str | None) -> None:
        assert error is None
        self.committed.update(offsets)

    def poll_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline
            self.consumer.poll(0, 0.1)

    def read(self, count: int, timeout_s: float = TIMEOUT_S) -> list[Record]:
        records: list[Record] = []
        deadline = time.monotonic() + timeout_s
        while len(records) < count and time.monotonic() < deadline:
            records += self.consumer.poll(count - len(records), 0.1)
        return records


@pytest.fixture
def join(bus: Bus, topic: str) -> Iterator[Callable[[], Member]]:
    with ExitStack() as members:

        def member() -> Member:
            return Member(members.enter_context(closing(bus.new_consumer())), topic)

        yield member


def test_topics_are_created_once(bus: Bus) -> None:
    name = unique("detections")
    topic = TopicSpec(name, 3, 1, {})

    assert bus.admin.create_topics([topic]) == [name]
    assert bus.admin.create_topics([topic]) == []
    assert bus.admin.partition_counts()[name] == 3


def test_a_record_arrives_as_it_was_published(bus: Bus, topic: str, join: Callable[[], Member]) -> None:
    value = bytes(range(256)) * 400
    before_ms = time.time_ns() // 10**6
    [delivery] = publish(bus, topic, (b"cam-1", value))
    member = join()

    [record] = member.read(1)

    assert (record.key, record.value, record.headers) == (b"cam-1", value, (("n", b"1"),))
    assert (record.partition, record.offset) == (delivery.partition, delivery.offset)
    assert before_ms - 1 <= record.timestamp_ms <= time.time_ns() // 10**6


def test_records_without_key_or_value_arrive(bus: Bus, topic: str, join: Callable[[], Member]) -> None:
    publish(bus, topic, (None, b"value"), (b"cam-1", b""))

    assert sorted((record.key or b"", record.value) for record in join().read(2)) == [
        (b"", b"value"),
        (b"cam-1", b""),
    ]


def test_a_key_stays_on_its_partition_and_in_order(bus: Bus, topic: str, join: Callable[[], Member]) -> None:
    publish(bus, topic, *((f"cam-{n % 7}".encode(), str(n).encode()) for n in range(70)))

    records = join().read(70)

    for camera in range(7):
        own = [record for record in records if record.key == f"cam-{camera}".encode()]
        assert len({record.partition for record in own}) == 1
        assert [int(record.value) for record in own] == [n for n in range(70) if n % 7 == camera]


def test_poll_returns_at_most_what_was_asked_for(bus: Bus, topic: str, join: Callable[[], Member]) -> None:
    publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(20)))
    member = join()
    member.read(1)

    assert len(member.consumer.poll(5, 1)) <= 5


def test_poll_for_nothing_loses_nothing(bus: Bus, topic: str, join: Callable[[], Member]) -> None:
    publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(10)))
    member = join()
    first = member.read(1)
    for _ in range(3):
        assert member.consumer.poll(0, 0.05) == []

    assert [int(record.value) for record in first + member.read(9)] == list(range(10))


def test_an_idle_poll_ends_with_its_time_out(topic: str, join: Callable[[], Member]) -> None:
    member = join()
    while not member.assigned:
        member.consumer.poll(1, 0.1)
    started = time.monotonic()

    assert member.consumer.poll(10, 0.2) == []
    assert 0.1 < time.monotonic() - started < 5


def test_a_paused_partition_delivers_nothing_until_resumed(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(10)))
    member = join()
    first = member.read(3)
    member.consumer.pause(member.assigned)
    assert member.read(1, timeout_s=0.5) == []

    member.consumer.resume(member.assigned)
    assert [int(record.value) for record in first + member.read(7)] == list(range(10))


def test_a_paused_partition_does_not_hold_up_the_others(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    deliveries = publish(bus, topic, *((f"cam-{n}".encode(), b"x") for n in range(100)))
    paused = deliveries[0].partition
    assert paused is not None
    elsewhere = sum(delivery.partition != paused for delivery in deliveries)
    member = join()
    member.poll_until(lambda: len(member.assigned) == 4)
    # Some of it may have been fetched already, by polls that were to deliver nothing.
    before = member.read(1)
    member.consumer.pause([paused])

    records = member.read(elsewhere - sum(record.partition != paused for record in before))
    assert all(record.partition != paused for record in records)
    assert member.read(1, timeout_s=0.5) == []

    member.consumer.resume([paused])
    assert len(before + records + member.read(100 - len(before + records))) == 100


def test_a_member_that_asks_for_more_topics_goes_on_where_it_was(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    other = unique("more-frames")
    bus.admin.create_topics([TopicSpec(other, 2, 1, {})])
    publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(10)))
    publish(bus, other, (b"cam-1", b"other"))
    member = join()
    values = [record.value for record in member.read(6)]

    member.subscribe(topic, other)
    values += [record.value for record in member.read(5)]
    member.subscribe(other)
    member.poll_until(lambda: len(member.revoked) == 4)

    assert sorted(values) == sorted([*(str(n).encode() for n in range(10)), b"other"])
    assert sorted(member.assigned) == sorted(
        [Partition(topic, number) for number in range(4)] + [Partition(other, number) for number in range(2)]
    )
    assert {partition.topic for partition in member.revoked} == {topic}
    member.subscribe()
    member.poll_until(lambda: len(member.revoked) == 6)


def test_a_paused_partition_that_left_and_came_back_delivers(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    if bus.name == "memory":
        pytest.skip("the memory bus has one member, whom nothing is taken from")
    first = join()
    first.poll_until(lambda: len(first.assigned) == 4)
    first.consumer.pause(first.assigned)
    second = join()

    def taken_over() -> bool:
        second.consumer.poll(0, 0.1)
        return bool(first.revoked)

    first.poll_until(taken_over)
    second.consumer.close()
    first.poll_until(lambda: len(first.assigned) >= 4 + len(first.revoked))
    publish(bus, topic, *((f"cam-{n}".encode(), b"x") for n in range(200)))

    back = {record.partition for record in first.read(1)}
    assert back <= set(first.revoked)
    assert back


def test_the_next_member_reads_on_from_the_commit(bus: Bus, topic: str, join: Callable[[], Member]) -> None:
    [delivery, *_] = publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(10)))
    assert delivery.partition is not None
    first = join()
    assert len(first.read(10)) == 10
    first.consumer.commit({delivery.partition: 4})
    first.poll_until(lambda: first.committed == {delivery.partition: 4})
    first.consumer.close()
    assert sorted(first.revoked) == sorted(first.assigned)

    assert [int(record.value) for record in join().read(6)] == [4, 5, 6, 7, 8, 9]


def test_what_a_group_has_stored_is_told_with_its_note(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    if bus.name == "tansu":
        pytest.skip("Tansu keeps no notes")
    [delivery, *_] = publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(10)))
    partition = delivery.partition
    assert partition is not None
    member = join()
    member.read(4)
    every = sorted(member.assigned)
    assert member.consumer.committed(every) == {}

    member.consumer.commit({partition: 4}, "attempt 1")
    member.poll_until(lambda: member.committed == {partition: 4})
    assert member.consumer.committed(every) == {partition: Committed(4, "attempt 1")}

    member.consumer.commit({partition: 5})
    member.poll_until(lambda: member.committed == {partition: 5})
    assert member.consumer.committed(every) == {partition: Committed(5)}


def test_the_next_member_finds_offset_and_note(bus: Bus, topic: str, join: Callable[[], Member]) -> None:
    if bus.name == "tansu":
        pytest.skip("Tansu keeps no notes")
    [delivery, *_] = publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(10)))
    assert delivery.partition is not None
    first = join()
    first.read(1)
    first.consumer.commit({delivery.partition: 3}, "alone")
    first.poll_until(lambda: first.committed == {delivery.partition: 3})
    first.consumer.close()
    second = join()

    assert [int(record.value) for record in second.read(7)] == list(range(3, 10))
    assert second.consumer.committed([delivery.partition]) == {delivery.partition: Committed(3, "alone")}


def test_a_poll_that_tells_of_new_partitions_returns_nothing_yet(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    publish(bus, topic, *((b"cam-1", str(n).encode()) for n in range(5)))
    member = join()
    deadline = time.monotonic() + TIMEOUT_S
    while not member.assigned:
        assert time.monotonic() < deadline
        assert member.consumer.poll(10, 1) == []

    assert [int(record.value) for record in member.read(5)] == list(range(5))


def test_who_has_joined_is_a_member_and_who_has_not_is_none(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    with closing(bus.new_consumer()) as stranger:
        assert stranger.membership() is None or bus.name == "memory"
    member = join()
    member.poll_until(lambda: len(member.assigned) == 4)

    assert member.consumer.membership() is not None


def test_high_watermarks_are_the_offsets_after_the_newest_records(
    bus: Bus, topic: str, join: Callable[[], Member]
) -> None:
    [delivery, *_] = publish(bus, topic, *((b"cam-1", b"x") for _ in range(5)))
    member = join()
    member.read(5)

    assert delivery.partition is not None
    assert member.consumer.high_watermarks()[delivery.partition] == 5


def test_publishing_to_a_topic_that_is_not_there_is_reported(bus: Bus) -> None:
    if bus.name == "tansu":
        pytest.skip("Tansu creates every topic that is asked for")
    deliveries: list[Delivery] = []
    failure: str | None = None
    with closing(bus.new_producer()) as producer:
        deadline = time.monotonic() + TIMEOUT_S
        try:
            producer.publish(OutgoingRecord(unique("absent"), b"cam-1", b"x"), deliveries.append)
            while not deliveries and time.monotonic() < deadline:
                producer.poll(0.1)
        except TransportError as error:
            failure = str(error)

    assert failure or (deliveries and deliveries[0].error)


def test_a_full_producer_says_so_and_takes_the_record_later(topic: str, bus: Bus) -> None:
    delivered: list[Delivery] = []
    with closing(bus.new_producer()) as producer:
        refused = False
        for _ in range(3_000):
            record = OutgoingRecord(topic, b"cam-1", bytes(100_000))
            while not producer.publish(record, delivered.append):
                refused = True
                producer.poll(0.05)
            if refused:
                break
        assert refused
        assert producer.flush(TIMEOUT_S) == 0
    assert all(delivery.error is None for delivery in delivered)

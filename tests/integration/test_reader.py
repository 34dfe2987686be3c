"""Reading as an onlooker."""

import ipaddress
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from framebus.bus import OutgoingRecord, Partition, TopicSpec
from framebus.bus.kafka import (
    KafkaAdmin,
    KafkaCluster,
    KafkaConsumer,
    KafkaLookup,
    KafkaProducer,
    KafkaReader,
)
from framebus.errors import TransportError
from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.kafka import kafka_settings, unique

RECORDS = 60


@pytest.fixture
def kafka(broker: LocalBroker) -> KafkaSettings:
    return kafka_settings(broker)


def create_topic(kafka: KafkaSettings, partitions: int = 1) -> str:
    topic = unique("frames")
    KafkaAdmin(kafka).create_topics([TopicSpec(topic, partitions, 1, {})])
    return topic


def publish(kafka: KafkaSettings, topic: str, values: Sequence[bytes]) -> None:
    with closing(KafkaProducer(kafka)) as producer:
        for value in values:
            # The key is the value, so that records are spread over the partitions.
            assert producer.publish(OutgoingRecord(topic, value, value))
        assert producer.flush(30) == 0


def read(reader: KafkaReader, count: int) -> Iterator[bytes]:
    while count > 0:
        records = reader.poll(100, 30)
        assert records
        count -= len(records)
        yield from (record.value for record in records)


def test_a_reader_follows_from_now_on(kafka: KafkaSettings) -> None:
    topic = create_topic(kafka, 2)
    publish(kafka, topic, [b"old-%d" % number for number in range(20)])
    with closing(KafkaReader(kafka)) as reader:
        reader.follow([topic], from_start=False)
        new = [b"new-%d" % number for number in range(20)]
        publish(kafka, topic, new)

        assert sorted(read(reader, 20)) == sorted(new)
        assert reader.unread() == 0
        assert sum(reader.end_offsets().values()) == 40


def test_a_reader_follows_from_the_start(kafka: KafkaSettings) -> None:
    topic = create_topic(kafka)
    publish(kafka, topic, [b"1", b"2"])
    with closing(KafkaReader(kafka)) as reader:
        reader.follow([topic], from_start=True)

        assert [record.value for record in reader.poll(1, 30)] == [b"1"]
        assert reader.unread() == 1
        assert [record.value for record in reader.poll(1, 30)] == [b"2"]


def test_a_topic_that_is_not_there_cannot_be_followed(kafka: KafkaSettings) -> None:
    with closing(KafkaReader(kafka)) as reader, pytest.raises(TransportError, match="does not exist"):
        reader.follow([unique("absent")], from_start=True)


def test_the_newest_records_of_each_partition_are_read(kafka: KafkaSettings) -> None:
    topic, empty = create_topic(kafka), create_topic(kafka)
    publish(kafka, topic, [b"%d" % number for number in range(RECORDS)])
    with closing(KafkaReader(kafka)) as reader:
        newest = [record.offset for record in reader.read_newest([topic, empty], 10, 30)]

    # Tansu is wrong about the end of a topic, and more comes from it.
    assert newest[-10:] == list(range(RECORDS - 10, RECORDS))


def test_the_first_record_from_an_offset_on_is_read_of_each_partition(kafka: KafkaSettings) -> None:
    topic = create_topic(kafka, 2)
    publish(kafka, topic, [b"%d" % number for number in range(RECORDS)])
    wanted = {Partition(topic, 0): 3, Partition(topic, 1): 5}
    with closing(KafkaReader(kafka)) as reader:
        first = reader.read_first(wanted, 30)

    assert {partition: record.offset for partition, record in first.items()} == wanted


@pytest.mark.parametrize("max_bytes", [2**20, 100])
def test_records_are_found_in_any_order(kafka: KafkaSettings, max_bytes: int) -> None:
    topic = create_topic(kafka, 2)
    publish(kafka, topic, [b"picture-%d" % number for number in range(4 * RECORDS)])
    places = [
        *((number, offset) for offset in range(20) for number in (0, 1)),  # as detections come
        *((0, offset) for offset in range(20)),  # once more, of the other model
        *((1, 80), (0, 1), (1, 20), (0, 80), (1, 0)),
    ]
    with closing(KafkaLookup(kafka, max_bytes)) as lookup:
        found = [lookup.find(Partition(topic, number), offset, 30) for number, offset in places]

    assert [record and (record.partition.number, record.offset) for record in found] == places


def test_a_record_that_is_not_kept_any_more_is_none_at_once(apache: LocalBroker) -> None:
    kafka = kafka_settings(apache)
    topic = create_topic(kafka)
    publish(kafka, topic, [b"%d" % number for number in range(20)])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, 0, 10)]).values():
        future.result()
    with closing(KafkaLookup(kafka)) as lookup:
        # With a time-out that no test would survive.
        found = [lookup.find(Partition(topic, 0), offset, 3_600) for offset in (3, 4, 9, 10, 5, 11)]

        assert [record and record.offset for record in found] == [None, None, None, 10, None, 11]
        assert KafkaCluster(kafka).oldest_offsets([Partition(topic, 0)]) == {Partition(topic, 0): 10}


def test_a_record_that_was_never_there_is_none(kafka: KafkaSettings) -> None:
    topic = create_topic(kafka)
    with closing(KafkaLookup(kafka)) as lookup:
        assert lookup.find(Partition(topic, 0), 5, timeout_s=1) is None


def test_an_onlooker_leaves_no_trace(apache: LocalBroker) -> None:
    kafka = kafka_settings(apache)
    topic = create_topic(kafka)
    publish(kafka, topic, [b"1"])
    with closing(KafkaReader(kafka)) as reader:
        reader.follow([topic], from_start=True)
        assert list(read(reader, 1)) == [b"1"]
        listed = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_consumer_groups().result()

    assert [group.group_id for group in listed.valid if group.group_id.startswith(kafka.group_id)] == []


def test_a_cluster_tells_its_brokers(broker: LocalBroker) -> None:
    assert KafkaCluster(kafka_settings(broker)).brokers() == [broker.bootstrap_servers]


def test_a_group_is_described_while_it_lives_and_afterwards(
    kafka: KafkaSettings, broker: LocalBroker
) -> None:
    topic, cluster = create_topic(kafka, 2), KafkaCluster(kafka)
    partitions = {Partition(topic, 0), Partition(topic, 1)}
    assert cluster.group(kafka.group_id).members == ()
    assigned: set[Partition] = set()
    committed: list[str | None] = []
    with closing(KafkaConsumer(kafka)) as consumer:
        consumer.subscribe(
            [topic],
            on_assigned=assigned.update,
            on_revoked=lambda _: None,
            on_lost=lambda _: None,
            on_committed=lambda _, error: committed.append(error),
        )
        while assigned != partitions:
            consumer.poll(1, 0.1)
        consumer.commit({Partition(topic, 1): 3})
        while not committed:
            consumer.poll(0, 0.1)
        alive = cluster.group(kafka.group_id)
    ended = cluster.group(kafka.group_id)

    assert committed == [None]
    assert alive.state == "stable"
    assert alive.committed == ended.committed == {Partition(topic, 1): 3}
    assert (ended.state, ended.members) == ("empty", ())
    if broker.kind == "tansu":  # which does not tell members
        assert alive.members is None
    else:
        assert alive.members is not None
        [member] = alive.members
        assert set(member.partitions) == partitions
        assert ipaddress.ip_address(member.host)  # as the broker sees it, which may be in a container


@pytest.mark.parametrize("from_start", [True, False])
def test_a_reader_is_not_deaf_to_a_topic_that_was_deleted_and_made_anew(
    apache: LocalBroker, from_start: bool
) -> None:
    kafka = kafka_settings(apache)
    topic = create_topic(kafka)
    publish(kafka, topic, [b"old-%d" % number for number in range(20)])
    deleting = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    with closing(KafkaReader(kafka)) as reader:
        reader.follow([topic], from_start=from_start)
        if from_start:
            assert len(list(read(reader, 20))) == 20
        for future in deleting.delete_topics([topic]).values():
            future.result(timeout=30)
        deadline_s = time.monotonic() + 30
        while not KafkaAdmin(kafka).create_topics([TopicSpec(topic, 1, 1, {})]):
            assert time.monotonic() < deadline_s
        publish(kafka, topic, [b"new"])

        heard: list[bytes] = []
        has_lost = False
        while not heard and not has_lost:
            assert time.monotonic() < deadline_s, "it neither reads on nor says that it cannot"
            try:
                heard = [record.value for record in reader.poll(100, 0.2)]
            except TransportError:
                has_lost = True
        assert has_lost or heard == [b"new"]

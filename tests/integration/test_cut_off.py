"""Clients that know no broker any more; that they come to that is shown in test_broker_faults.py."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from framebus.bus import Delivery, OutgoingRecord, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaProducer, KafkaReader
from framebus.errors import TransportError
from framebus.local_broker.ports import LOOPBACK
from framebus.settings import KafkaSettings
from tests.integration.conftest import FaultyBroker
from tests.integration.slow_link import SlowLink
from tests.kafka import unique

RECORDS = 50


@pytest.fixture
def link(faulty_broker: FaultyBroker) -> Iterator[SlowLink]:
    with SlowLink(faulty_broker.link_port, faulty_broker.port) as link:
        yield link


@pytest.fixture
def kafka(faulty_broker: FaultyBroker, link: SlowLink) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{faulty_broker.link_port}")


def create_topic(kafka: KafkaSettings) -> str:
    topic = unique("frames")
    KafkaAdmin(kafka).create_topics([TopicSpec(topic, 1, 1, {})])
    return topic


def test_a_producer_delivers_what_it_held_in_order(kafka: KafkaSettings, link: SlowLink) -> None:
    topic = create_topic(kafka)
    values = [b"%d" % number for number in range(RECORDS)]
    deliveries: list[Delivery] = []
    with closing(KafkaProducer(kafka)) as producer:
        producer.publish(OutgoingRecord(topic, b"camera", b"before"))
        assert producer.flush(30) == 0
        link.delay_s = 60
        for value in values:
            assert producer.publish(OutgoingRecord(topic, b"camera", value), deliveries.append)
        assert not deliveries
        producer._connection.is_cut_off = True  # as its statistics would tell
        link.delay_s = 0
        producer.poll(0)
        assert producer.flush(30) == 0

    assert [delivery.error for delivery in deliveries] == [None] * RECORDS
    with closing(KafkaReader(kafka)) as reader:
        reader.follow([topic], from_start=True)
        read: list[bytes] = []
        while not reader.is_at_end:
            read += [record.value for record in reader.poll(RECORDS, 1)]
    assert read == [b"before", *values]


def test_a_reader_says_so(kafka: KafkaSettings) -> None:
    with closing(KafkaReader(kafka)) as reader:
        reader.follow([create_topic(kafka)], from_start=True)
        reader._connection.is_cut_off = True
        with pytest.raises(TransportError, match="has lost them; start it again"):
            reader.poll(1, 0)

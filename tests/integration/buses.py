"""Clients of each bus that there is: the memory bus, Tansu and Apache Kafka."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from framebus.bus import (
    BusAdmin,
    BusConsumer,
    BusProducer,
    BusReader,
    Delivery,
    OutgoingRecord,
)
from framebus.bus.kafka import KafkaAdmin, KafkaBus, KafkaConsumer, KafkaProducer
from framebus.bus.memory import MemoryBus, MemoryConsumer, MemoryProducer
from framebus.local_broker import LocalBroker
from tests.kafka import kafka_settings

TIMEOUT_S = 40.0


@dataclass
class Bus:
    """Clients of one bus, all in one group."""

    name: str
    admin: BusAdmin
    new_consumer: Callable[[], BusConsumer]
    new_producer: Callable[[], BusProducer]
    new_reader: Callable[[], BusReader]


def memory() -> Bus:
    bus = MemoryBus()
    return Bus("memory", bus, lambda: MemoryConsumer(bus, "group"), lambda: MemoryProducer(bus), bus.reader)


def kafka(broker: LocalBroker) -> Bus:
    settings = kafka_settings(broker)
    # A topic that is not there is given up after this, instead of after half a minute.
    patience = {"topic.metadata.propagation.max.ms": "2000"}
    return Bus(
        broker.kind,
        KafkaAdmin(settings),
        lambda: KafkaConsumer(settings),
        lambda: KafkaProducer(settings, **patience),
        KafkaBus(settings).reader,
    )


def publish(bus: Bus, topic: str, *records: tuple[bytes | None, bytes]) -> list[Delivery]:
    deliveries: list[Delivery] = []
    with closing(bus.new_producer()) as producer:
        for key, value in records:
            assert producer.publish(OutgoingRecord(topic, key, value, (("n", b"1"),)), deliveries.append)
        assert producer.flush(TIMEOUT_S) == 0
    return deliveries

"""The bus on Apache Kafka, through confluent-kafka (docs/adr/0001-kafka-client.md)."""

from framebus.bus.kafka.admin import KafkaAdmin
from framebus.bus.kafka.bus import KafkaBus
from framebus.bus.kafka.cluster import KafkaCluster
from framebus.bus.kafka.consumer import KafkaConsumer, static_member
from framebus.bus.kafka.lookup import KafkaLookup
from framebus.bus.kafka.producer import KafkaProducer
from framebus.bus.kafka.reader import KafkaReader
from framebus.bus.kafka.transactions import KafkaTransactionalProducer

__all__ = [
    "KafkaAdmin",
    "KafkaBus",
    "KafkaCluster",
    "KafkaConsumer",
    "KafkaLookup",
    "KafkaProducer",
    "KafkaReader",
    "KafkaTransactionalProducer",
    "static_member",
]

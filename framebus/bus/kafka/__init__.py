"""The bus on Apache Kafka, through confluent-kafka (docs/adr/0001-kafka-client.md)."""

from framebus.bus.kafka.admin import KafkaAdmin
from framebus.bus.kafka.cluster import KafkaCluster
from framebus.bus.kafka.consumer import KafkaConsumer
from framebus.bus.kafka.lookup import KafkaLookup
from framebus.bus.kafka.producer import KafkaProducer
from framebus.bus.kafka.reader import KafkaReader

__all__ = ["KafkaAdmin", "KafkaCluster", "KafkaConsumer", "KafkaLookup", "KafkaProducer", "KafkaReader"]

"""Clients for what needs no group."""

from framebus.bus.kafka.admin import KafkaAdmin
from framebus.bus.kafka.lookup import KafkaLookup
from framebus.bus.kafka.producer import KafkaProducer
from framebus.bus.kafka.reader import KafkaReader
from framebus.settings import KafkaSettings


class KafkaBus:
    """Makes clients that share their settings; see `framebus.bus.Bus`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def admin(self) -> KafkaAdmin:
        """Looks after topics."""
        return KafkaAdmin(self._settings)

    def producer(self) -> KafkaProducer:
        """Publishes."""
        return KafkaProducer(self._settings)

    def reader(self) -> KafkaReader:
        """Reads as an onlooker."""
        return KafkaReader(self._settings)

    def lookup(self, max_bytes: int) -> KafkaLookup:
        """Finds single records; keeps up to so many bytes of what it reads on the way."""
        return KafkaLookup(self._settings, max_bytes)

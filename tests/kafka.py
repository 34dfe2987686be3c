"""Names and settings for tests that share a broker."""

import uuid

from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings


def unique(name: str) -> str:
    """A name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def kafka_settings(broker: LocalBroker) -> KafkaSettings:
    """Settings for a broker, with a group of their own."""
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        group_id=unique("group"),
        # A group of Tansu takes half of this to form.
        consumer_options={"session.timeout.ms": "6000"},
    )

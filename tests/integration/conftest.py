"""Real brokers for the tests: one of each kind for the whole run, topics and groups of a test's own."""

import uuid
from collections.abc import Iterator

import pytest

from framebus.local_broker import BrokerKind, LocalBroker, local_broker, why_no_apache
from framebus.settings import KafkaSettings, load_settings


@pytest.fixture(scope="session")
def tansu() -> Iterator[LocalBroker]:
    with local_broker(load_settings(), BrokerKind.TANSU) as broker:
        yield broker


@pytest.fixture(scope="session")
def apache() -> Iterator[LocalBroker]:
    reason = why_no_apache(load_settings())
    if reason is not None:
        pytest.skip(f"without Apache Kafka: {reason}")
    with local_broker(load_settings(), BrokerKind.APACHE) as broker:
        yield broker


@pytest.fixture(params=["tansu", "apache"])
def broker(request: pytest.FixtureRequest) -> LocalBroker:
    """Each broker in turn."""
    broker: LocalBroker = request.getfixturevalue(request.param)
    return broker


@pytest.fixture
def best_broker(request: pytest.FixtureRequest) -> LocalBroker:
    """Apache Kafka where it can be had, else Tansu."""
    kind = "tansu" if why_no_apache(load_settings()) else "apache"
    broker: LocalBroker = request.getfixturevalue(kind)
    return broker


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

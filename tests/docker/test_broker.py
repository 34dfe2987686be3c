"""`framebus broker --broker docker`: Apache Kafka in a container."""

import pytest
from confluent_kafka import Producer

from framebus.bus import TopicSpec
from framebus.bus.kafka import KafkaAdmin
from framebus.environment import load_settings
from framebus.local_broker import BrokerKind, local_broker
from framebus.local_broker.docker import IMAGE
from framebus.local_broker.ports import require_free
from tests.docker.compose import has_image, why_no_docker
from tests.integration.accounts import read
from tests.kafka import kafka_settings


@pytest.mark.slow
def test_a_transaction_is_committed_and_nothing_stays() -> None:
    """The broker is a client of its own for it, by another address than that of its clients."""
    if reason := why_no_docker():
        pytest.skip(reason)
    if not has_image(IMAGE):
        pytest.skip(f"the image {IMAGE} cannot be had")
    with local_broker(load_settings(), BrokerKind.DOCKER) as broker:
        KafkaAdmin(kafka_settings(broker)).create_topics([TopicSpec("frames", 1, 1, {})])
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "one"})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce("frames", b"a picture")
        producer.commit_transaction(30)
        assert [record.value for record in read(broker.bootstrap_servers, "frames")] == [b"a picture"]
    require_free(broker.port)

"""Several models and topics in one consumer process, on a real broker."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from kafka import KafkaProducer

from framebus.bus.kafka import KafkaAdmin
from framebus.local_broker import LocalBroker
from framebus.settings import TopicSettings
from framebus.topics import topic_specs
from tests.e2e.consumer_process import ConsumerProcess, read
from tests.kafka import unique
from tests.pictures import jpeg

ROUTES = """
routes:
  - topic: {topic}
    models: [{first}, {second}]
  - topic: ^{topic}-live\\..*
    models: [{second}]
    freshness: latest
"""


class TwoModels:
    """A consumer with two models, which are the same one by two names that no other test uses."""

    def __init__(self, broker: LocalBroker, models_directory: Path, folder: Path) -> None:
        self.models = [unique("first"), unique("second")]
        models = folder / "models"
        models.mkdir()
        for model in self.models:
            (models / model).symlink_to(models_directory / "pedestrian")
        routes = folder / "routes.yaml"
        self.consumer = ConsumerProcess(
            broker,
            models,
            folder / "consumer.log",
            arguments=["--routes", str(routes)],
            models=self.models,
            before_start=lambda topic: routes.write_text(
                ROUTES.format(topic=topic, first=self.models[0], second=self.models[1])
            ),
        )
        self.topic = self.consumer.topic

    def publish(self, topic: str, *models: bytes | None) -> None:
        """Publishes a frame for each of the models; None: for all."""
        servers = self.consumer.settings.bootstrap_servers
        with closing(KafkaProducer(bootstrap_servers=servers)) as producer:
            for model in models:
                headers = [] if model is None else [("ce_model", model)]
                producer.send(topic, key=b"cam-9", value=jpeg(320, 240), headers=headers)
            producer.flush()


@pytest.fixture
def two_models(best_broker: LocalBroker, models_directory: Path, tmp_path: Path) -> Iterator[TwoModels]:
    two_models = TwoModels(best_broker, models_directory, tmp_path)
    with two_models.consumer:
        yield two_models


@pytest.mark.slow
def test_each_model_answers_what_is_for_it_also_of_a_topic_that_appears(two_models: TwoModels) -> None:
    topic, consumer = two_models.topic, two_models.consumer
    first, second = two_models.models
    two_models.publish(topic, None, first.encode(), second.encode(), b"nobody", None)

    def offsets(model: str, count: int) -> list[int]:
        records = read(consumer, f"detections.{model}", count)
        return [json.loads(record.value)["source"]["offset"] for record in records]

    assert offsets(first, 3) == [0, 1, 4]
    assert offsets(second, 3) == [0, 2, 4]
    [dead] = read(consumer, consumer.dead, 1)
    assert dict(dead.headers)["fb_error"] == b"unknown_model"
    assert dict(dead.headers)["fb_offset"] == b"3"

    admin = KafkaAdmin(consumer.settings)
    live = f"{topic}-live.gate"
    admin.create_topics(topic_specs(TopicSettings(partitions=2, replication_factor=1), frames=[live])[:1])
    two_models.publish(live, None)
    assert len(read(consumer, f"detections.{second}", 1, source=live)) == 1

    consumer.process.send_signal(signal.SIGTERM)
    assert consumer.process.wait(timeout=60) == 0
    assert sum(consumer.committed(first).values()) == sum(consumer.committed(second).values()) >= 5


@pytest.mark.slow
def test_a_topic_that_matched_may_be_deleted_and_one_that_a_route_names_may_not(
    two_models: TwoModels, apache: LocalBroker
) -> None:
    topic, consumer = two_models.topic, two_models.consumer
    _, second = two_models.models
    live = f"{topic}-live.gate"
    topics = TopicSettings(partitions=2, replication_factor=1)
    deleting = AdminClient({"bootstrap.servers": apache.bootstrap_servers})

    KafkaAdmin(consumer.settings).create_topics(topic_specs(topics, frames=[live])[:1])
    two_models.publish(live, None)
    assert len(read(consumer, f"detections.{second}", 1, source=live)) == 1

    wait_until_done(deleting.delete_topics([live]))
    revoked = rf'"model": "{second}", "partitions": \["{live}[^}}]*"event": "partitions revoked"'
    consumer.wait_for_log(revoked)
    two_models.publish(topic, None)
    assert len(read(consumer, f"detections.{second}", 1)) == 1

    wait_until_done(deleting.delete_topics([topic]))
    assert consumer.process.wait(timeout=60) == 1
    consumer_log = consumer.log.read_text()
    assert f"topic {topic} does not exist" in consumer_log
    assert '"event": "stopped"' not in consumer_log


def wait_until_done(requests: dict[str, Future[None]]) -> None:
    for request in requests.values():
        request.result()

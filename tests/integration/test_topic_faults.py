"""Topics that are gone, have too few partitions, or take too little, under real processes."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from framebus.images import encode_jpeg
from tests.apache_node import ApacheNode
from tests.integration.accounts import read
from tests.integration.framebus_process import FramebusProcess
from tests.integration.installation import Installation
from tests.pictures import jpeg

_CAMERAS = 6
# What no detections fit, no large picture, and nothing at all.
_NO_DETECTIONS_BYTES, _NO_PICTURE_BYTES, _NOTHING_BYTES = 300, 20_000, 100


@pytest.fixture
def admin(node: ApacheNode) -> Iterator[KafkaAdminClient]:
    with closing(KafkaAdminClient(bootstrap_servers=node.bootstrap_servers)) as admin:
        yield admin


@pytest.fixture
def installation(node: ApacheNode, tmp_path: Path) -> Iterator[Installation]:
    with Installation(node.bootstrap_servers, tmp_path) as installation:
        installation.create_topics()
        yield installation


def limit_messages(admin: KafkaAdminClient, topic: str, size_bytes: int) -> None:
    """Has the broker refuse larger messages for a topic."""
    change = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size_bytes)})
    admin.alter_configs([change])


@pytest.mark.slow
def test_programs_end_when_a_topic_that_they_need_is_deleted(
    installation: Installation, node: ApacheNode, admin: KafkaAdminClient, tmp_path: Path
) -> None:
    options = {
        # That a topic is gone is told at once, and not only of those older than half a minute.
        "FRAMEBUS_KAFKA__OPTIONS__TOPIC_METADATA_PROPAGATION_MAX_MS": "1000",
        # What cannot be published any more need not be waited for.
        "FRAMEBUS_CONSUMER__DRAIN_TIMEOUT_S": "1",
    }
    with Installation(node.bootstrap_servers, tmp_path / "other") as other:
        other.create_topics()
        consumers = installation.consumer(**options), other.consumer(**options)
        producers = [each.producer(cameras=_CAMERAS, fps=5, **options) for each in (installation, other)]
        for consumer in consumers:
            consumer.until_ready()
        installation.until_more_frames(*consumers)

        admin.delete_topics([installation.topic, other.detections])

        for program, topic, remedy in (
            (consumers[0], installation.topic, f"--topic {installation.topic}"),
            (producers[0], installation.topic, f"--topic {installation.topic}"),
            (consumers[1], other.detections, f"--model {other.model}"),
        ):
            assert program.wait() == 1
            error = program.log()[-1]["event"]
            assert f"topic {topic} does not exist" in error
            assert f"framebus topics create {remedy}" in error
        producers[1].stop()


@pytest.mark.slow
def test_a_consumer_that_no_partition_is_left_for_is_there_when_another_stops(
    node: ApacheNode, tmp_path: Path
) -> None:
    with Installation(node.bootstrap_servers, tmp_path, partitions=1) as installation:
        installation.create_topics()
        busy = installation.consumer()
        installation.until_shared(busy)
        idle = installation.consumer()
        idle.until_ready()
        producer = installation.producer(cameras=1, fps=10)
        installation.until_more_frames(busy)
        until_it_has(1, busy)
        until_it_has(0, idle)

        busy.stop()

        installation.until_more_frames(idle)
        until_it_has(1, idle)
        producer.stop()
        installation.wait_until_committed()
        idle.stop()
        assert installation.account().is_flawless()


def until_it_has(partitions: int, consumer: FramebusProcess) -> None:
    """Waits until a consumer's metrics say that it reads so many partitions."""
    consumer.until(
        lambda: consumer.metric("framebus_assigned_partitions") == partitions, f"{partitions} partitions"
    )


def test_what_is_too_large_becomes_a_dead_letter_as_large_as_its_topic_takes(
    installation: Installation, admin: KafkaAdminClient
) -> None:
    limit_messages(admin, installation.detections, _NO_DETECTIONS_BYTES)
    limit_messages(admin, installation.dead, _NO_PICTURE_BYTES)
    consumer = installation.consumer(FRAMEBUS_CONSUMER__MAX_DEAD_SHARE="1")
    noise = encode_jpeg(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    assert len(noise) > _NO_PICTURE_BYTES
    with closing(KafkaProducer(bootstrap_servers=installation.servers)) as camera:
        for picture in (noise, jpeg()):
            camera.send(installation.topic, key=b"cam-1", value=picture)
        camera.flush()
    installation.wait_until_committed()
    consumer.stop()

    large, small = sorted(read(installation.servers, installation.dead), key=lambda letter: len(letter.value))
    assert (large.value, dict(large.headers)["fb_left_out"]) == (b"", b"value")
    assert (small.value, dict(small.headers).get("fb_left_out")) == (jpeg(), None)
    assert all(dict(letter.headers)["fb_error"] == b"too_large" for letter in (large, small))


def test_a_consumer_ends_rather_than_make_dead_letters_of_everything(
    installation: Installation, admin: KafkaAdminClient
) -> None:
    limit_messages(admin, installation.detections, _NO_DETECTIONS_BYTES)
    consumer = installation.consumer(FRAMEBUS_CONSUMER__DEAD_WINDOW_FRAMES="20")
    producer = installation.producer(cameras=_CAMERAS, fps=5)

    assert consumer.wait() == 1

    assert "frames became dead letters" in consumer.log()[-1]["event"]
    assert installation.detections in consumer.log()[-1]["event"]
    producer.stop()


def test_a_consumer_ends_when_its_dead_letters_are_refused(
    installation: Installation, admin: KafkaAdminClient
) -> None:
    limit_messages(admin, installation.detections, _NO_DETECTIONS_BYTES)
    limit_messages(admin, installation.dead, _NOTHING_BYTES)
    consumer = installation.consumer()
    assert installation.producer("--frames", "1", cameras=_CAMERAS, fps=10).wait() == 0

    assert consumer.wait() == 1

    assert f"too large for {installation.dead}" in consumer.log()[-1]["event"]
    assert "max.message.bytes" in consumer.log()[-1]["event"]
    assert installation.unfinished() == _CAMERAS


def test_a_producer_counts_frames_that_the_broker_refuses(
    installation: Installation, admin: KafkaAdminClient
) -> None:
    limit_messages(admin, installation.topic, _NOTHING_BYTES)
    producer = installation.producer("--frames", "3", cameras=_CAMERAS, fps=10)

    assert producer.wait() == 0

    summary = json.loads(producer.output())
    assert (summary["published"], summary["dropped"]) == (0, 3 * _CAMERAS)
    assert {line["reason"] for line in producer.log("frames dropped")} == {"too_large"}

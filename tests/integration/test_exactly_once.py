"""Exactly-once delivery on Apache Kafka, judged by an onlooker who reads only what is committed."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from framebus.bus import OutgoingRecord, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaProducer
from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.deadly_model import ENGINE, HANGS, KILLS, install_deadly_engine
from tests.integration.accounts import read
from tests.integration.framebus_process import FramebusProcess
from tests.integration.installation import Installation
from tests.pictures import jpeg

FRAME = jpeg()


@pytest.fixture
def installation(apache: LocalBroker, tmp_path: Path) -> Iterator[Installation]:
    with Installation(
        apache.bootstrap_servers, tmp_path, delivery="exactly_once", call_s=0.1
    ) as installation:
        installation.create_topics()
        yield installation


@pytest.mark.slow
def test_a_consumer_killed_under_load_leaves_nothing_lost_or_twice(installation: Installation) -> None:
    consumers = [installation.consumer() for _ in range(2)]
    installation.until_shared(*consumers)
    producer = installation.producer("--frames", "60", cameras=8, fps=10)
    installation.until_more_frames(*consumers)

    consumers[0].kill()
    installation.until_more_frames(consumers[1])
    assert producer.wait() == 0
    installation.wait_until_committed()

    consumers[1].stop()
    installation.assert_delivered()


@pytest.mark.slow
def test_a_consumer_told_to_stop_under_load_leaves_nothing_open(installation: Installation) -> None:
    first = installation.consumer()
    first.until_ready()
    producer = installation.producer("--frames", "50", cameras=8, fps=10)
    installation.until_more_frames(first)
    first.stop()
    # Everything it published is committed, and nothing else: its offsets and its answers agree at once.
    answered = installation.account().answered
    assert producer.wait() == 0
    published = installation.account().published
    assert answered == published - installation.unfinished()

    second = installation.consumer()
    installation.wait_until_committed()
    second.stop()
    installation.assert_delivered()


class OnePartition(Installation):
    """One partition, and an engine that some pictures are too much for."""

    def __init__(self, servers: str, directory: Path, delivery: str) -> None:
        super().__init__(servers, directory, partitions=1, delivery=delivery)
        self._packages = install_deadly_engine(directory / "deadly")

    def consumer(self, **environment: str) -> FramebusProcess:
        """Starts `framebus consume` with that engine."""
        path = os.pathsep.join([str(self._packages), self._environment["PYTHONPATH"]])
        # Who has a name need not wait until the group has noticed that its predecessor is dead.
        own = {"PYTHONPATH": path, "FRAMEBUS_CONSUMER__INSTANCE_ID": "worker"}
        return self.start("consume", "--engine", ENGINE, **own, **environment)

    def publish(self, *values: bytes, **headers: bytes) -> None:
        """Publishes frames of one camera."""
        with closing(KafkaProducer(KafkaSettings(bootstrap_servers=self.servers))) as producer:
            for value in values:
                assert producer.publish(OutgoingRecord(self.topic, b"cam-1", value, tuple(headers.items())))
            assert producer.flush(30) == 0

    def answers(self) -> list[int]:
        """The offsets of the frames that were answered, in the order of the answers."""
        return [
            json.loads(record.value)["source"]["offset"] for record in read(self.servers, self.detections)
        ]

    def letters(self) -> list[tuple[int, str]]:
        """The offsets of the dead letters, and why."""
        headers = [dict(record.headers) for record in read(self.servers, self.dead)]
        return [(int(letter["fb_offset"]), letter["fb_error"].decode()) for letter in headers]

    def until_finished(self, consumer: FramebusProcess) -> None:
        """Waits until a consumer has finished all frames."""
        consumer.until(lambda: self.unfinished() == 0, "all frames to be finished")


@pytest.fixture(params=["at_least_once", "exactly_once"])
def one_partition(
    request: pytest.FixtureRequest, apache: LocalBroker, tmp_path: Path
) -> Iterator[OnePartition]:
    with OnePartition(apache.bootstrap_servers, tmp_path, request.param) as installation:
        installation.create_topics()
        yield installation


@pytest.mark.slow
def test_a_frame_that_kills_its_process_is_a_dead_letter_after_three_deaths(
    one_partition: OnePartition,
) -> None:
    one_partition.publish(*[FRAME] * 2, KILLS, *[FRAME] * 9)
    for _ in range(3):
        assert one_partition.consumer(FRAMEBUS_CONSUMER__MAX_BATCH_DELAY_MS="500").wait() == -signal.SIGKILL
    survivor = one_partition.consumer()
    one_partition.until_finished(survivor)
    survivor.stop()

    assert one_partition.letters() == [(2, "process_killed")]
    assert sorted(set(one_partition.answers())) == [0, 1, *range(3, 12)]


def test_a_process_whose_engine_hangs_ends_itself(apache: LocalBroker, tmp_path: Path) -> None:
    with OnePartition(apache.bootstrap_servers, tmp_path, "exactly_once") as installation:
        installation.create_topics()
        installation.publish(HANGS, FRAME)
        consumer = installation.consumer(FRAMEBUS_CONSUMER__STALL_TIMEOUT_S="1")

        assert consumer.wait() == 1
        [line] = consumer.log("stuck, ending the process; its frames will be read again")
        assert line["reason"].startswith(("an engine call hangs", "no frame was finished"))


def test_an_answer_that_the_broker_finds_too_large_is_a_dead_letter_and_the_others_are_not(
    apache: LocalBroker, tmp_path: Path
) -> None:
    with OnePartition(apache.bootstrap_servers, tmp_path, "exactly_once") as installation:
        KafkaAdmin(KafkaSettings(bootstrap_servers=apache.bootstrap_servers)).create_topics(
            [TopicSpec(installation.detections, 1, 1, {"max.message.bytes": "1600"})]
        )
        installation.create_topics()
        consumer = installation.consumer()
        consumer.until_ready()
        for size_bytes in (1, 1_000, 1):
            # One by one: a broker takes or refuses all that comes in one batch.
            installation.publish(FRAME, ce_id=b"x" * size_bytes, tracestate=b"y" * size_bytes)
            installation.until_finished(consumer)
        consumer.stop()

        assert installation.letters() == [(1, "too_large")]
        assert installation.answers() == [0, 2]

"""The consumer process, on a real broker and the real model, fed and read by clients that are not ours."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from framebus.bus.kafka import KafkaAdmin
from framebus.local_broker import BrokerKind, LocalBroker
from framebus.local_broker.ports import free_ports
from framebus.settings import KafkaSettings, TopicSettings
from framebus.topics import topic_specs
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg

DETECTIONS = "detections.pedestrian"


class ConsumerProcess:
    """`framebus consume` on a topic of its own."""

    def __init__(self, broker: LocalBroker, models_directory: Path, log: Path) -> None:
        self.settings: KafkaSettings = kafka_settings(broker)
        self.topic = unique("frames")
        self.dead = f"{self.topic}.dead"
        topics = TopicSettings(frames=self.topic, dead=self.dead, partitions=2, replication_factor=1)
        KafkaAdmin(self.settings).create_topics(topic_specs(topics, "pedestrian"))
        [self._port] = free_ports(1)
        environment = {
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "FRAMEBUS_KAFKA__GROUP_ID": self.settings.group_id,
            "FRAMEBUS_KAFKA__CONSUMER_OPTIONS__SESSION_TIMEOUT_MS": "6000",
            "FRAMEBUS_TOPICS__FRAMES": self.topic,
            "FRAMEBUS_TOPICS__DEAD": self.dead,
            "FRAMEBUS_MODELS_DIR": str(models_directory),
            "FRAMEBUS_CONSUMER__HTTP_PORT": str(self._port),
        }
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "framebus.cli", "consume"],
                env={**os.environ, **environment},
                stderr=stderr,
            )
        self._log = log

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self._log.read_text()
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except urllib.error.URLError:
                pass  # not listening yet
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self._log.read_text()}")

    def committed(self) -> dict[int, int]:
        with closing(
            KafkaConsumer(
                bootstrap_servers=self.settings.bootstrap_servers,
                group_id=f"{self.settings.group_id}.pedestrian",
                enable_auto_commit=False,
            )
        ) as reader:
            return {
                partition: reader.committed(TopicPartition(self.topic, partition)) or 0
                for partition in range(2)
            }


@pytest.fixture
def consumer(broker: LocalBroker, models_directory: Path, tmp_path: Path) -> Iterator[ConsumerProcess]:
    consumer = ConsumerProcess(broker, models_directory, tmp_path / "consumer.log")
    try:
        consumer.wait_until_ready()
        yield consumer
    finally:
        consumer.process.kill()
        consumer.process.wait()


@pytest.fixture(scope="module")
def pictures(street: Path) -> list[bytes]:
    """Eight pictures of the sample video."""
    video = cv2.VideoCapture(str(street))
    pictures = []
    for _ in range(8):
        decoded, frame = video.read()
        assert decoded
        pictures.append(np.asarray(cv2.imencode(".jpg", frame)[1]).tobytes())
    video.release()
    return pictures


def read(consumer: ConsumerProcess, topic: str, count: int) -> list[Any]:
    """Reads what was made of this consumer's frames, with a stock client."""
    with closing(
        KafkaConsumer(
            topic,
            bootstrap_servers=consumer.settings.bootstrap_servers,
            auto_offset_reset="earliest",
            group_id=unique("reader"),
            session_timeout_ms=6000,
            consumer_timeout_ms=30_000,
        )
    ) as reader:
        found: list[Any] = []
        for record in reader:
            if topic != DETECTIONS or json.loads(record.value)["source"]["topic"] == consumer.topic:
                found.append(record)
            if len(found) == count:
                break
        return found


def test_stock_clients_publish_and_subscribe_and_a_corrupt_picture_dies_alone(
    consumer: ConsumerProcess, pictures: list[bytes]
) -> None:
    corrupt = pictures[3][: len(pictures[3]) // 2]
    with closing(KafkaProducer(bootstrap_servers=consumer.settings.bootstrap_servers)) as producer:
        for number, picture in enumerate(pictures):
            producer.send(consumer.topic, key=b"cam-9", value=corrupt if number == 3 else picture)
        producer.flush()

    messages = [json.loads(record.value) for record in read(consumer, DETECTIONS, 7)]
    [dead] = read(consumer, consumer.dead, 1)

    assert [message["source"]["offset"] for message in messages] == [0, 1, 2, 4, 5, 6, 7]
    assert {message["sensorId"] for message in messages} == {"cam-9"}
    assert all(message["image"] == {"width": 640, "height": 272} for message in messages)
    assert dead.value == corrupt
    assert dict(dead.headers)["fb_error"] == b"undecodable"
    assert consumer.get("/healthz")[0] == 200
    metrics = consumer.get("/metrics")[1]
    assert 'framebus_frames_total{camera="cam-9",model="pedestrian"} 7.0' in metrics
    assert 'framebus_dead_letters_total{camera="cam-9",model="pedestrian",reason="undecodable"} 1.0' in metrics

    consumer.process.send_signal(signal.SIGTERM)
    assert consumer.process.wait(timeout=40) == 0
    assert sum(consumer.committed().values()) == 8


def test_a_picture_from_kcat_is_detected(
    consumer: ConsumerProcess, broker: LocalBroker, tmp_path: Path
) -> None:
    if broker.kind == BrokerKind.TANSU:
        pytest.skip("Debian's kcat cannot read Tansu's answer to ApiVersions")
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        pytest.skip("kcat is not installed (Debian: apt install kcat)")
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(jpeg(320, 240))

    subprocess.run(
        [kcat, "-P", "-b", consumer.settings.bootstrap_servers, "-t", consumer.topic, "-k", "cam-9", picture],
        check=True,
        timeout=60,
    )

    [record] = read(consumer, DETECTIONS, 1)
    message = json.loads(record.value)
    assert record.key == b"cam-9"
    assert message["sensorId"] == "cam-9"
    assert message["image"] == {"width": 320, "height": 240}

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from framebus.bus import TopicSpec
from framebus.bus.kafka import KafkaAdmin
from framebus.environment import load_settings
from framebus.errors import TransportError
from framebus.images import decode
from framebus.local_broker import BrokerKind, LocalBroker, TansuBroker, local_broker, why_no_apache
from framebus.local_broker.ports import free_ports
from framebus.settings import ProducerSettings, Settings, TopicSettings
from producer.app import Producer
from producer.camera_spec import CameraSpec
from producer.cameras.camera import Picture
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg, picture

PARTITIONS = 3
READ_TIMEOUT_S = 30


def make_topic(broker: LocalBroker) -> str:
    topic = unique("frames")
    KafkaAdmin(kafka_settings(broker)).create_topics([TopicSpec(topic, PARTITIONS, 1, {})])
    return topic


def settings_for(broker: LocalBroker, topic: str, **producer: int) -> Settings:
    return Settings(
        kafka=kafka_settings(broker),
        topics=TopicSettings(frames=topic),
        producer=ProducerSettings(http_port=0, **producer),
    )


@contextmanager
def reader(broker: LocalBroker, topic: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": unique("reader"),
        }
    )
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    try:
        yield consumer
    finally:
        consumer.close()


def read(broker: LocalBroker, topic: str, count: int) -> list[Message]:
    """Reads `count` records, and makes sure that there are no more."""
    with reader(broker, topic) as consumer:
        messages = consumer.consume(count, READ_TIMEOUT_S) + consumer.consume(1, 1)
    assert [message.error() for message in messages] == [None] * count
    return messages


def headers_of(message: Message) -> dict[str, str]:
    headers: dict[str, bytes] = dict(message.headers() or ())  # type: ignore[arg-type]
    return {name: value.decode() for name, value in headers.items()}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "gate.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for number in range(20):
        writer.write(picture(seed=number))
    writer.release()
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    path = tmp_path / "yard"
    path.mkdir()
    for number in range(10):
        (path / f"{number}.jpg").write_bytes(jpeg(seed=number))
    return path


def test_a_stock_client_reads_every_frame_of_every_camera(
    broker: LocalBroker, video: Path, pictures: Path
) -> None:
    topic = make_topic(broker)
    cameras = [
        CameraSpec(id="gate", source=str(video)),
        CameraSpec(id="yard", source=str(pictures), fps=100),
    ]

    summary = Producer(settings_for(broker, topic), cameras).run(threading.Event())

    assert (summary.published, summary.dropped) == (30, 0)
    messages = read(broker, topic, 30)
    for camera_id, count in (("gate", 20), ("yard", 10)):
        own = [message for message in messages if message.key() == camera_id.encode()]
        assert len({message.partition() for message in own}) == 1
        headers = [headers_of(message) for message in own]
        assert [each["ce_sequence"] for each in headers] == [str(number) for number in range(1, count + 1)]
        assert len({each["ce_id"] for each in headers}) == count
        assert {each["ce_source"] for each in headers} == {f"/cameras/{camera_id}"}
        assert {each["ce_type"] for each in headers} == {"io.framebus.frame.v1"}
        assert {each["content-type"] for each in headers} == {"image/jpeg"}
        assert all(
            re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["ce_time"]) for each in headers
        )
        assert {decode(message.value() or b"", 10_000).shape for message in own} == {(48, 64, 3)}


def test_a_missing_topic_is_an_error_before_any_camera_starts(broker: LocalBroker, tmp_path: Path) -> None:
    topic = unique("missing")
    cameras = [CameraSpec(id="gone", source=str(tmp_path / "gone.mp4"))]

    with pytest.raises(TransportError, match=rf"topic {topic} does not exist.*framebus topics create"):
        Producer(settings_for(broker, topic), cameras).run(threading.Event())


class Interrupting:
    """A camera of 300 pictures that suspends the broker's process for 200 of them.

    After the first picture it waits, so that the producer has found its way to the broker before.
    """

    live = False

    def __init__(self, broker_pid: int) -> None:
        self._broker_pid = broker_pid

    def pictures(self) -> Generator[Picture, None, None]:
        for number in range(300):
            if number == 50:
                os.kill(self._broker_pid, signal.SIGSTOP)
            if number == 250:
                os.kill(self._broker_pid, signal.SIGCONT)
            yield Picture(jpeg(), 0.01 if number else 2)


@pytest.mark.slow
def test_an_outage_costs_the_oldest_frames_and_nothing_else() -> None:
    with TansuBroker() as broker:
        topic = make_topic(broker)
        settings = settings_for(broker, topic, max_buffer_frames=20)

        camera = Interrupting(broker.pid)
        producer = Producer(settings, [CameraSpec(id="gate", source="this test")], create=lambda *_: camera)
        summary = producer.run(threading.Event())

        messages = read(broker, topic, summary.published)
    sequences = [int(headers_of(message)["ce_sequence"]) for message in messages]
    assert summary.published + summary.dropped == 300
    assert summary.dropped >= 200 - 20 - 32
    assert sequences == sorted(set(sequences))
    assert sequences[:50] == list(range(1, 51))
    assert sequences[-20:] == list(range(281, 301))


@pytest.mark.slow
def test_a_broker_that_is_away_at_the_start_is_waited_for(tmp_path: Path, video: Path) -> None:
    if reason := why_no_apache(load_settings()):
        pytest.skip(f"only Apache Kafka keeps its topics over a restart: {reason}")
    broker = local_broker(load_settings(), BrokerKind.APACHE, data_directory=tmp_path / "kafka")
    with broker:
        topic = make_topic(broker)
    cameras = [CameraSpec(id="gate", source=str(video))]
    producer = Producer(settings_for(broker, topic), cameras)
    with ThreadPoolExecutor() as threads:
        summary = threads.submit(producer.run, threading.Event())
        with broker:
            assert (summary.result(READ_TIMEOUT_S).published, summary.result().dropped) == (20, 0)
            assert len(read(broker, topic, 20)) == 20


@contextmanager
def running(*options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command `framebus produce`, ended at the end if it has not by itself."""
    command = [sys.executable, "-m", "framebus.cli", "produce", *options]
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_drains_when_it_is_told_to_stop(broker: LocalBroker, video: Path) -> None:
    topic = make_topic(broker)
    (port,) = free_ports(1)
    with running(
        *("--topic", topic, "--camera", f"gate={video}", "--fps", "100", "--loop", "--json"),
        FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS=broker.bootstrap_servers,
        FRAMEBUS_PRODUCER__HTTP_PORT=str(port),
    ) as process:
        with reader(broker, topic) as consumer:
            assert len(consumer.consume(50, READ_TIMEOUT_S)) == 50
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok"}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        process.terminate()
        output, _ = process.communicate(timeout=READ_TIMEOUT_S)

    assert process.returncode == 0
    published = json.loads(output.splitlines()[-1])["published"]
    assert len(read(broker, topic, published)) == published >= 50
    match = re.search(r'^framebus_published_frames_total\{camera="gate"\} ([\d.]+)$', metrics, re.MULTILINE)
    assert match is not None
    assert 0 < float(match[1]) <= published

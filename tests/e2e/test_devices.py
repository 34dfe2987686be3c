"""`framebus consume --devices`, on a real broker and the real model: two workers, and one is killed."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer

from framebus.bus.kafka import KafkaAdmin
from framebus.errors import SettingsError
from framebus.local_broker import LocalBroker
from framebus.local_broker.ports import free_ports, require_free
from framebus.settings import TopicSettings
from framebus.topics import topic_specs
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg
from tests.workers import is_alive

PARTITIONS = 4
PICTURE = jpeg(320, 240)


def free_port_pair() -> int:
    """A free port whose successor is free, too."""
    while True:
        [port] = free_ports(1)
        try:
            require_free(port + 1)
        except SettingsError:
            continue
        return port


class TwoWorkers:
    """`framebus consume --devices` on a topic of its own."""

    def __init__(self, devices: str, broker: LocalBroker, models_directory: Path, log: Path) -> None:
        settings = kafka_settings(broker)
        self.bootstrap_servers = settings.bootstrap_servers
        self.topic = unique("frames")
        self.published: set[tuple[int, int]] = set()
        self.log = log
        self._port = free_port_pair()
        topics = TopicSettings(
            frames=self.topic, dead=f"{self.topic}.dead", partitions=PARTITIONS, replication_factor=1
        )
        KafkaAdmin(settings).create_topics(topic_specs(topics, "pedestrian"))
        environment = {
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "FRAMEBUS_KAFKA__GROUP_ID": settings.group_id,
            "FRAMEBUS_KAFKA__CONSUMER_OPTIONS__SESSION_TIMEOUT_MS": "6000",
            "FRAMEBUS_TOPICS__FRAMES": self.topic,
            "FRAMEBUS_TOPICS__DEAD": topics.dead,
            "FRAMEBUS_MODELS_DIR": str(models_directory),
            "FRAMEBUS_CONSUMER__HTTP_PORT": str(self._port),
        }
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "framebus.cli", "consume", "--devices", devices],
                env={**os.environ, **environment},
                stderr=stderr,
            )

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What the supervisor logged of an event."""
        entries = map(json.loads, re.findall(r'\{"program": "supervisor"[^}]*\}', self.log.read_text()))
        return [entry for entry in entries if entry["event"] == event]

    def pids(self, worker: int) -> list[int]:
        return [entry["pid"] for entry in self.logged("worker started") if entry["worker"] == worker]

    def frames_of(self, worker: int) -> int:
        """Frames that a worker answered since it was started; 0 while it cannot be asked."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port + worker}/metrics", timeout=5
            ) as response:
                metrics = response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0
        return sum(
            int(float(count)) for count in re.findall(r"^framebus_frames_total\{.*\} (.*)$", metrics, re.M)
        )

    def publish(self, frames_per_partition: int) -> None:
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap_servers)) as producer:
            sent = [
                producer.send(self.topic, key=f"cam-{partition}".encode(), value=PICTURE, partition=partition)
                for _ in range(frames_per_partition)
                for partition in range(PARTITIONS)
            ]
            self.published |= {(one.get(30).partition, one.get(30).offset) for one in sent}

    def publish_until(self, condition: Callable[[], bool]) -> None:
        """Publishes a frame to each partition again and again."""
        deadline = time.monotonic() + 120
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            self.publish(1)
            time.sleep(0.3)

    def wait_until_answered(self) -> None:
        """Reads as an outsider until each published frame has its detections."""
        missing = set(self.published)
        with closing(
            KafkaConsumer(
                "detections.pedestrian",
                bootstrap_servers=self.bootstrap_servers,
                auto_offset_reset="earliest",
                group_id=unique("reader"),
                session_timeout_ms=6000,
                consumer_timeout_ms=60_000,
            )
        ) as reader:
            while missing:
                source = json.loads(next(reader).value)["source"]
                if source["topic"] == self.topic:
                    missing.discard((source["partition"], source["offset"]))


@pytest.fixture
def start(
    best_broker: LocalBroker, models_directory: Path, tmp_path: Path
) -> Iterator[Callable[[str], TwoWorkers]]:
    started = []

    def start(devices: str) -> TwoWorkers:
        started.append(TwoWorkers(devices, best_broker, models_directory, tmp_path / "workers.log"))
        return started[-1]

    yield start
    for workers in started:
        workers.process.kill()
        workers.process.wait()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_worker_that_is_killed_comes_back_and_no_frame_is_lost(start: Callable[[str], TwoWorkers]) -> None:
    workers = start("cpu,cpu")
    workers.publish_until(lambda: workers.frames_of(0) > 0 and workers.frames_of(1) > 0)
    [victim], [survivor] = workers.pids(0), workers.pids(1)

    os.kill(victim, signal.SIGKILL)
    workers.publish(10)
    workers.publish_until(lambda: len(workers.pids(0)) == 2 and workers.frames_of(0) > 0)

    [ended] = workers.logged("worker ended, it will be started again")
    assert (ended["worker"], ended["device"], ended["ended_with"]) == (0, "cpu", "SIGKILL")
    assert workers.pids(1) == [survivor]
    before = workers.frames_of(1)
    workers.publish_until(lambda: workers.frames_of(1) > before)

    workers.wait_until_answered()

    workers.process.send_signal(signal.SIGTERM)
    assert workers.process.wait(timeout=60) == 0
    assert not any(map(is_alive, workers.pids(0) + workers.pids(1)))


@pytest.mark.slow
def test_gpus_that_are_not_there_end_it_all(start: Callable[[str], TwoWorkers]) -> None:
    workers = start("98,99")

    assert workers.process.wait(timeout=120) == 2
    log = workers.log.read_text()
    assert "no GPU 98 (--devices" in log or "no GPU 99 (--devices" in log
    assert "refused its settings; what it said is above" in log
    assert not any(map(is_alive, workers.pids(0) + workers.pids(1)))

"""A consumer process on a real broker, and a stock client that reads what it publishes."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition

from framebus.bus.kafka import KafkaAdmin
from framebus.local_broker import LocalBroker
from framebus.local_broker.ports import free_ports
from framebus.settings import KafkaSettings, TopicSettings
from framebus.topics import topic_specs
from tests.kafka import kafka_settings, unique


class ConsumerProcess:
    """`framebus consume` on a topic of its own; ready as a context, and killed at its end.

    Args:
        broker: Where the topic is.
        models_directory: Where its models are.
        log: Where it writes its log.
        arguments: What follows `consume`.
        models: Whose detections topics are created.
        before_start: Told the name of the topic.
    """

    def __init__(
        self,
        broker: LocalBroker,
        models_directory: Path,
        log: Path,
        *,
        arguments: Sequence[str] = (),
        models: Sequence[str] = ("pedestrian",),
        before_start: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.settings: KafkaSettings = kafka_settings(broker)
        self.topic = unique("frames")
        self.dead = f"{self.topic}.dead"
        topics = TopicSettings(frames=self.topic, dead=self.dead, partitions=2, replication_factor=1)
        KafkaAdmin(self.settings).create_topics(topic_specs(topics, *models))
        [self._port] = free_ports(1)
        environment = {
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "FRAMEBUS_KAFKA__GROUP_ID": self.settings.group_id,
            "FRAMEBUS_KAFKA__CONSUMER_OPTIONS__SESSION_TIMEOUT_MS": "6000",
            # That a topic is gone is told at once, and not only of those older than half a minute.
            "FRAMEBUS_KAFKA__CONSUMER_OPTIONS__TOPIC_METADATA_PROPAGATION_MAX_MS": "1000",
            "FRAMEBUS_TOPICS__FRAMES": self.topic,
            "FRAMEBUS_TOPICS__DEAD": self.dead,
            "FRAMEBUS_MODELS_DIR": str(models_directory),
            "FRAMEBUS_CONSUMER__HTTP_PORT": str(self._port),
        }
        before_start(self.topic)
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "framebus.cli", "consume", *arguments],
                env={**os.environ, **environment},
                stderr=stderr,
            )
        self.log = log

    def __enter__(self) -> Self:
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> tuple[int, str]:
        """Asks its HTTP port; returns status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def wait_until_ready(self) -> None:
        """Returns when it reads frames."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except urllib.error.URLError:
                pass  # not listening yet
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def wait_for_log(self, pattern: str) -> None:
        """Returns when a regular expression is found in its log."""
        deadline = time.monotonic() + 60
        while re.search(pattern, self.log.read_text()) is None:
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def committed(self, model: str = "pedestrian") -> dict[int, int]:
        """What a model's group has committed."""
        with closing(
            KafkaConsumer(
                bootstrap_servers=self.settings.bootstrap_servers,
                group_id=f"{self.settings.group_id}.{model}",
                enable_auto_commit=False,
            )
        ) as reader:
            return {
                partition: reader.committed(TopicPartition(self.topic, partition)) or 0
                for partition in range(2)
            }


def read(consumer: ConsumerProcess, topic: str, count: int, source: str | None = None) -> list[Any]:
    """Reads what was made of the frames of a topic, by default this consumer's, with a stock client."""
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
            if topic == consumer.dead or _source(record) == (source or consumer.topic):
                found.append(record)
            if len(found) == count:
                break
        return found


def _source(record: Any) -> str:
    topic: str = json.loads(record.value)["source"]["topic"]
    return topic

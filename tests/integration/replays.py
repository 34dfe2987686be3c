"""Frames on a topic, `framebus replay`, and what became of them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from confluent_kafka import Producer

from framebus.bus import Record, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaReader
from framebus.settings import KafkaSettings
from tests.kafka import unique

MINUTE_MS = 60_000
CAMERAS = (b"gate", b"yard", b"roof", b"\xffodd")


def create_topic(kafka: KafkaSettings, name: str, partitions: int = 3, **config: str) -> str:
    topic = unique(name)
    config = {name.replace("_", "."): value for name, value in config.items()}
    KafkaAdmin(kafka).create_topics([TopicSpec(topic, partitions, 1, config)])
    return topic


def now_ms() -> int:
    return time.time_ns() // 10**6


def publish(
    kafka: KafkaSettings, topic: str, frames: Sequence[tuple[bytes | None, bytes, int]], **options: str
) -> None:
    """Publishes frames by their camera, value and time, as any client may, headers of all kinds included."""
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random", **options}
    )
    if "transactional.id" in options:
        producer.init_transactions(30)
        producer.begin_transaction()
    for camera, value, time_ms in frames:
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", value),
            ("twice", b"1"),
            ("twice", b"\xff\x00"),
            ("none", None),
        ]
        producer.produce(topic, value, camera, timestamp=time_ms, headers=headers)
    assert producer.flush(30) == 0
    if "transactional.id" in options:
        producer.abort_transaction(30)


def numbered(count: int, began_ms: int, step_ms: int = 1) -> list[tuple[bytes | None, bytes, int]]:
    """Frames of the cameras in turn; the value is their number."""
    return [(CAMERAS[n % len(CAMERAS)], b"%d" % n, began_ms + n * step_ms) for n in range(count)]


def read_all(kafka: KafkaSettings, topic: str) -> list[Record]:
    """All that a topic keeps, in order per partition."""
    with closing(KafkaReader(kafka)) as reader:
        reader.follow([topic], from_start=True)
        records, deadline_s = [], time.monotonic() + 60
        while not reader.is_at_end:
            assert time.monotonic() < deadline_s
            records += reader.poll(100, 0.2)
    return records


def by_camera(records: Sequence[Record]) -> dict[bytes | None, list[tuple[bytes, tuple[Any, ...]]]]:
    cameras: dict[bytes | None, list[tuple[bytes, tuple[Any, ...]]]] = {}
    for one in records:
        cameras.setdefault(one.key, []).append((one.value, one.headers))
    return cameras


def values(records: Sequence[Record]) -> list[int]:
    return sorted(int(one.value) for one in records)


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "framebus.cli", "replay", *options]


def environment(kafka: KafkaSettings, **settings: str) -> dict[str, str]:
    servers = {"FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    return {**os.environ, "COLUMNS": "400", "TERM": "dumb", **servers, **settings}


def replay(
    kafka: KafkaSettings, *options: str, code: int = 0, **settings: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*options),
        env=environment(kafka, **settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said

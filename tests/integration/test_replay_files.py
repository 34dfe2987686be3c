"""`framebus replay` to files, and of detections."""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from framebus.bus import TopicSpec
from framebus.bus.kafka import KafkaAdmin
from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.integration.published import Publisher
from tests.integration.replays import (
    by_camera,
    create_topic,
    environment,
    read_all,
    replay,
)
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg


@pytest.fixture
def kafka(broker: LocalBroker) -> KafkaSettings:
    return kafka_settings(broker)


def test_frames_become_pictures_that_a_producer_publishes_again(kafka: KafkaSettings, tmp_path: Path) -> None:
    source, target = create_topic(kafka, "frames"), create_topic(kafka, "copy")
    began_at = datetime.now(UTC)
    with Publisher(kafka) as publisher:
        frames = [
            publisher.frame(source, camera, began_at, jpeg(seed=number))
            for number, camera in enumerate(["gate", "yard", "gate", "gate"])
        ]

    done = replay(kafka, "--topic", source, "--to", str(tmp_path / "new"), "--camera", "gate")

    assert f"3 frames replayed to {tmp_path / 'new'}" in done.stderr
    pictures = sorted((tmp_path / "new" / "gate").iterdir())
    gate = [frame for frame in frames if frame.camera_id == "gate"]
    assert [path.read_bytes() for path in pictures] == [frame.data for frame in gate]
    index = [json.loads(line) for line in (tmp_path / "new" / "frames.jsonl").read_text().splitlines()]
    assert [dict(one["headers"])["ce_id"] for one in index] == [frame.frame_id for frame in gate]
    produced = subprocess.run(
        [
            *(sys.executable, "-m", "framebus.cli", "produce", "--topic", target),
            *("--camera", f"gate={tmp_path / 'new' / 'gate'}", "--fps", "20"),
        ],
        env=environment(kafka, FRAMEBUS_PRODUCER__HTTP_PORT="0"),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert produced.returncode == 0, produced.stderr
    assert [one.value for one in read_all(kafka, target)] == [frame.data for frame in gate]


def test_detections_become_lines_of_json_and_may_go_to_a_topic(kafka: KafkaSettings, tmp_path: Path) -> None:
    model, frames, target = unique("ssd"), create_topic(kafka, "frames"), create_topic(kafka, "copy")
    KafkaAdmin(kafka).create_topics([TopicSpec(f"detections.{model}", 2, 1, {})])
    with Publisher(kafka) as publisher:
        for number in range(6):
            camera = "yard" if number % 3 else "gate"
            frame = publisher.frame(frames, camera, datetime.now(UTC), b"%d" % number)
            publisher.detections(frame, model, [(1, 0.9)])
    there = [json.loads(one.value) for one in read_all(kafka, f"detections.{model}")]

    replay(kafka, "--model", model, "--to", str(tmp_path / "detections.jsonl"))
    piped = replay(kafka, "--model", model, "--to", "-", "--camera", "gate")
    replay(kafka, "--model", model, "--to-topic", target)

    def ids(messages: Sequence[dict[str, Any]]) -> list[str]:
        return sorted(one["id"] for one in messages)

    written = list(map(json.loads, (tmp_path / "detections.jsonl").read_text().splitlines()))
    assert ids(written) == ids(there)
    assert all(one in there for one in written)
    assert [json.loads(line)["sensorId"] for line in piped.stdout.splitlines()] == ["gate", "gate"]
    assert by_camera(read_all(kafka, target)) == by_camera(read_all(kafka, f"detections.{model}"))


def test_a_topic_that_is_not_there_is_an_error_that_says_which_are(kafka: KafkaSettings) -> None:
    source = create_topic(kafka, "frames")

    absent = replay(kafka, "--topic", "absent", "--to-topic", source, code=1)
    assert "topic absent does not exist" in absent.stderr
    missing = replay(kafka, "--topic", source, "--to-topic", "absent", code=1)
    assert "framebus topics create --topic absent" in missing.stderr
    model = replay(kafka, "--model", "absent", "--to", "-", code=1)
    assert "topic detections.absent does not exist" in model.stderr
    assert "absent" not in KafkaAdmin(kafka).partition_counts()

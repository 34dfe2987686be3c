"""The demo as its user runs it, counted by a reader that shares no code with framebus."""

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
from kafka import KafkaConsumer

from framebus.local_broker import LocalBroker
from framebus.model_repository import StoredModel

FRAMES = 120


def framebus(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "framebus.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def read_all(broker: LocalBroker, topic: str) -> list[Any]:
    reader = KafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
        group_id=f"reader-{uuid.uuid4()}",
        session_timeout_ms=6000,
        consumer_timeout_ms=8000,
        check_crcs=False,
    )
    records = list(reader)
    reader.close()
    return records


def test_every_published_frame_has_exactly_one_detection_message(
    best_broker: LocalBroker, models_directory: Path, tmp_path: Path
) -> None:
    done = framebus(
        *("demo", "--model", "pedestrian", "--frames", str(FRAMES), "--json", "--output", str(tmp_path)),
        FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS=best_broker.bootstrap_servers,
        FRAMEBUS_MODELS_DIR=str(models_directory),
    )

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["published"] == summary["processed"] == FRAMES
    assert summary["dropped"] == summary["dead"] == 0
    assert summary["detections"] > 0
    frames = read_all(best_broker, "frames")
    detections = [json.loads(record.value) for record in read_all(best_broker, "detections.pedestrian")]
    # Other tests' consumers publish to the same topic.
    messages = [message for message in detections if message["source"]["topic"] == "frames"]
    frame_ids = Counter(dict(record.headers)["ce_id"].decode() for record in frames)
    assert len(frame_ids) == FRAMES
    assert Counter(message["id"] for message in messages) == frame_ids
    assert sum(len(message["objects"]) for message in messages) == summary["detections"]
    assert read_all(best_broker, "frames.dead") == []
    pictures = list(tmp_path.glob("*.jpg"))
    assert pictures
    assert all(cv2.imread(str(picture)) is not None for picture in pictures)


def test_the_demo_brings_its_own_broker_and_runs_coco(coco: StoredModel, tmp_path: Path) -> None:
    done = framebus(
        *("demo", "--frames", "20", "--broker", "tansu", "--json", "--output", str(tmp_path)),
        FRAMEBUS_MODELS_DIR=str(coco.folder.parent),
    )

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["published"] == summary["processed"] == 20
    assert "without the model" not in done.stderr


def test_without_npm_the_demo_runs_the_other_model_and_says_so(
    models_directory: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "pedestrian").symlink_to(models_directory / "pedestrian")
    done = framebus(
        *("demo", "--frames", "20", "--broker", "tansu", "--output", str(tmp_path)),
        FRAMEBUS_MODELS_DIR=str(models),
        PATH=str(tmp_path),
    )

    assert done.returncode == 0, done.stderr
    assert "without the model coco" in done.stderr
    assert "there is no npm here" in done.stderr
    assert "20 frames published, 20 processed, 0 dropped, 0 dead letters" in done.stdout

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from framebus import wire
from framebus.bus import Delivery, OutgoingRecord, Partition, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaProducer, KafkaReader
from framebus.detections import Detections, Thresholds
from framebus.errors import TransportError
from framebus.frames import EncodedFrame, FramePosition
from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg

LABELS = {1: "person", 3: "car"}
TIMING = wire.Timing(wait_ms=1, decode_ms=1, infer_ms=1, total_ms=3, batch_size=1)
# Of each camera's frame: class and score of its objects.
SEEN = {"gate": [(1, 0.9), (3, 0.4)], "yard": [(3, 0.8)], "roof": []}


@pytest.fixture
def kafka(broker: LocalBroker) -> KafkaSettings:
    return kafka_settings(broker)


@pytest.fixture
def model(kafka: KafkaSettings) -> str:
    """A model that has seen one frame of each camera."""
    model, frames = unique("ssd"), unique("frames")
    KafkaAdmin(kafka).create_topics([TopicSpec(name, 2, 1, {}) for name in (frames, f"detections.{model}")])
    in_force = wire.ModelInForce(model, "0123456789ab", Thresholds(30, 10), LABELS)
    with closing(KafkaProducer(kafka)) as producer:
        for camera_id, objects in SEEN.items():
            deliveries: list[Delivery] = []
            frame = EncodedFrame(camera_id, f"{camera_id}-1", datetime.now(UTC), jpeg(64, 48))
            producer.publish(wire.encode_frame(frame, frames), deliveries.append)
            assert producer.flush(30) == 0
            [delivery] = deliveries
            assert delivery.partition is not None
            assert delivery.offset is not None
            position = FramePosition(frames, delivery.partition.number, delivery.offset)
            detections = Detections(
                boxes=np.array([[10, 10, 30, 40]] * len(objects), np.float32).reshape(-1, 4),
                scores=np.array([score for _, score in objects], np.float32),
                class_ids=np.array([class_id for class_id, _ in objects], np.int32),
                width=64,
                height=48,
            )
            published = EncodedFrame(camera_id, frame.frame_id, frame.captured_at, b"", position=position)
            producer.publish(wire.encode_detections(published, detections, in_force, TIMING))
        assert producer.flush(30) == 0
    return model


def tail(kafka: KafkaSettings, model: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "framebus.cli", "tail", "--model", model, "--from-start", *options],
        env={**os.environ, "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def messages(done: subprocess.CompletedProcess[str]) -> Iterator[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return (json.loads(line) for line in done.stdout.splitlines())


def test_all_messages_are_shown_as_they_are_on_the_bus(kafka: KafkaSettings, model: str) -> None:
    shown = {
        message["sensorId"]: [(found["classId"], found["confidence"]) for found in message["objects"]]
        for message in messages(tail(kafka, model, "--json", "--count", "3"))
    }

    assert shown == {
        camera: [(class_id, pytest.approx(score)) for class_id, score in seen]
        for camera, seen in SEEN.items()
    }


@pytest.mark.parametrize(
    ("options", "cameras", "types"),
    [
        (["--camera", "yard"], {"yard"}, {"car"}),
        (["--class", "person"], {"gate"}, {"person"}),
        (["--min-confidence", "85"], {"gate"}, {"person"}),
    ],
)
def test_only_what_is_wanted_is_shown(
    kafka: KafkaSettings, model: str, options: list[str], cameras: set[str], types: set[str]
) -> None:
    shown = list(messages(tail(kafka, model, "--json", "--count", "1", *options)))

    assert {message["sensorId"] for message in shown} == cameras
    assert {found["type"] for message in shown for found in message["objects"]} == types


def test_a_line_says_when_which_camera_and_what(kafka: KafkaSettings, model: str) -> None:
    done = tail(kafka, model, "--camera", "gate", "--count", "1")

    assert f"gate  {model}  person 90% (10,10 30,40), car 40% (10,10 30,40)" in done.stdout


def test_boxes_are_drawn_on_the_very_frame(kafka: KafkaSettings, model: str, tmp_path: Path) -> None:
    assert tail(kafka, model, "--count", "3", "--annotate", str(tmp_path)).returncode == 0

    pictures = [cv2.imread(str(path)) for path in tmp_path.glob(f"{model}-*.jpg")]
    assert [picture.shape for picture in pictures if picture is not None] == [(48, 64, 3)] * 3


def test_a_model_that_nobody_runs_is_an_error(apache: LocalBroker) -> None:
    done = tail(kafka_settings(apache), "nobody")

    assert done.returncode == 1
    assert "topic detections.nobody does not exist" in done.stderr


def test_a_reader_follows_from_now_on(apache: LocalBroker) -> None:
    settings, topic = kafka_settings(apache), unique("frames")
    KafkaAdmin(settings).create_topics([TopicSpec(topic, 1, 1, {})])
    with closing(KafkaProducer(settings)) as producer, closing(KafkaReader(settings)) as reader:
        producer.publish(OutgoingRecord(topic, b"cam-1", b"old"))
        assert producer.flush(30) == 0
        reader.follow([topic], from_start=False)
        assert reader.poll(10, 2) == []
        producer.publish(OutgoingRecord(topic, b"cam-1", b"new"))
        assert producer.flush(30) == 0

        assert [record.value for record in reader.poll(10, 30)] == [b"new"]


def test_a_record_that_is_not_kept_is_none(apache: LocalBroker) -> None:
    settings, topic = kafka_settings(apache), unique("frames")
    KafkaAdmin(settings).create_topics([TopicSpec(topic, 1, 1, {})])
    with closing(KafkaReader(settings)) as reader:
        assert reader.read_at(Partition(topic, 0), 5, timeout_s=2) is None


def test_a_topic_that_is_not_there_cannot_be_followed(apache: LocalBroker) -> None:
    with (
        closing(KafkaReader(kafka_settings(apache))) as reader,
        pytest.raises(TransportError, match="does not exist"),
    ):
        reader.follow([unique("absent")], from_start=True)

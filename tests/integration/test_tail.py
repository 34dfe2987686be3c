import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from framebus.bus import OutgoingRecord, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaProducer
from framebus.frames import Image
from framebus.images import encode_jpeg
from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from framebus.wire import DETECTIONS_TYPE
from tests.integration.published import BOX, HEIGHT, WIDTH, Publisher
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg

# Of each camera's frame: class and score of its objects.
SEEN = {"gate": [(1, 0.9), (3, 0.4)], "yard": [(3, 0.8)], "roof": []}
FRAMES = 12
FPS = 25
GREY = 120


@pytest.fixture
def kafka(broker: LocalBroker) -> KafkaSettings:
    return kafka_settings(broker)


def create_topics(kafka: KafkaSettings, *topics: str) -> None:
    KafkaAdmin(kafka).create_topics([TopicSpec(name, 2, 1, {}) for name in topics])


@pytest.fixture
def model(kafka: KafkaSettings) -> str:
    """A model that has seen one frame of each camera; somebody has published to its topic by mistake."""
    model, frames = unique("ssd"), unique("frames")
    create_topics(kafka, frames, f"detections.{model}")
    with closing(KafkaProducer(kafka)) as producer:
        assert producer.publish(OutgoingRecord(f"detections.{model}", b"gate", b"a picture"))
        cut_off = (("ce_type", DETECTIONS_TYPE.encode()),)
        assert producer.publish(OutgoingRecord(f"detections.{model}", b"gate", b'{"version":', cut_off))
        assert producer.flush(30) == 0
    with Publisher(kafka) as publisher:
        for camera, found in SEEN.items():
            publisher.detections(
                publisher.frame(frames, camera, datetime.now(UTC), jpeg(WIDTH, HEIGHT)), model, found
            )
    return model


@pytest.fixture
def filmed(kafka: KafkaSettings) -> str:
    """A model that has seen a person in each of some frames of the cameras `gate` and `yard/2`."""
    model, frames = unique("ssd"), unique("frames")
    create_topics(kafka, frames, f"detections.{model}")
    film(kafka, model, frames)
    return model


def film(kafka: KafkaSettings, model: str, frames: str) -> None:
    began_at, picture = datetime.now(UTC), encode_jpeg(np.full((HEIGHT, WIDTH, 3), GREY, np.uint8))
    with Publisher(kafka) as publisher:
        for number in range(FRAMES):
            captured_at = began_at + timedelta(seconds=number / FPS)
            for camera in ("gate", "yard/2"):
                frame = publisher.frame(frames, camera, captured_at, picture)
                publisher.detections(frame, model, [(1, 0.9)])


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "framebus.cli", "tail", "--from-start", *options]


def environment(kafka: KafkaSettings, **settings: str) -> dict[str, str]:
    return {**os.environ, "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers, **settings}


def tail(kafka: KafkaSettings, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options),
        env=environment(kafka, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def messages(done: subprocess.CompletedProcess[str]) -> Iterator[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return (json.loads(line) for line in done.stdout.splitlines())


def pictures(video: Path) -> list[Image]:
    """What a player shows."""
    player, shown = cv2.VideoCapture(str(video)), []
    while (picture := player.read()[1]) is not None:
        shown.append(np.asarray(picture, np.uint8))
    return shown


def has_box(picture: Image) -> bool:
    """Whether there is colour along the right edge of the box, and none far from it; the picture is grey."""
    _, top, right, bottom = BOX
    colour = np.ptp(picture.astype(np.int16), axis=2)
    edge = colour[(top + bottom) // 2 : bottom - 2, right - 1 : right + 2].max(axis=1)
    return bool(edge.min() > 40 > colour[:, right + 50 :].max())


def test_all_messages_are_shown_as_they_are_on_the_bus(kafka: KafkaSettings, model: str) -> None:
    shown = {
        message["sensorId"]: [(found["classId"], found["confidence"]) for found in message["objects"]]
        for message in messages(tail(kafka, "--model", model, "--json", "--count", "3"))
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
    shown = list(messages(tail(kafka, "--model", model, "--json", "--count", "1", *options)))

    assert {message["sensorId"] for message in shown} == cameras
    assert {found["type"] for message in shown for found in message["objects"]} == types


def test_a_line_says_when_which_camera_and_what(kafka: KafkaSettings, model: str) -> None:
    done = tail(kafka, "--model", model, "--camera", "gate", "--count", "1")

    [line] = done.stdout.splitlines()
    objects = "person 90% (20,60 70,100), car 40% (20,60 70,100)"
    assert re.split(" {2,}", line)[1:] == ["gate", model, "42 ms", objects]


def test_what_is_no_detection_message_is_left_out_and_said(kafka: KafkaSettings, model: str) -> None:
    done = tail(kafka, "--model", model, "--camera", "gate", "--count", "1")

    assert done.returncode == 0
    assert "000000 is left out: it is no detection message" in done.stderr
    assert "000001 is left out: it is no detection message" in done.stderr


def test_by_default_all_models_of_the_routes_are_shown(kafka: KafkaSettings, model: str, filmed: str) -> None:
    routes = json.dumps([{"topic": "frames", "models": [model]}, {"topic": "more", "models": [filmed]}])
    shown = messages(tail(kafka, "--json", "--count", str(3 + 2 * FRAMES), FRAMEBUS_ROUTES=routes))

    assert {message["model"]["name"] for message in shown} == {model, filmed}


def test_boxes_are_drawn_on_the_very_frame(kafka: KafkaSettings, filmed: str, tmp_path: Path) -> None:
    done = tail(kafka, "--model", filmed, "--count", str(2 * FRAMES), "--annotate", str(tmp_path / "new"))

    assert done.returncode == 0, done.stderr
    drawn = [cv2.imread(str(path)) for path in (tmp_path / "new").glob(f"{filmed}-*.jpg")]
    assert len(drawn) == 2 * FRAMES
    assert all(picture is not None and has_box(np.asarray(picture, np.uint8)) for picture in drawn)


def test_each_camera_becomes_a_video(kafka: KafkaSettings, filmed: str, tmp_path: Path) -> None:
    options = ("--video", str(tmp_path), "--annotate", str(tmp_path), "--fps", str(FPS))
    done = tail(kafka, "--model", filmed, "--count", str(2 * FRAMES), *options)

    assert done.returncode == 0, done.stderr
    videos = sorted(tmp_path.glob("*.mp4"))
    assert [video.name.rsplit("-", 1)[0] for video in videos] == [f"{filmed}-gate", f"{filmed}-yard%2F2"]
    for video in videos:
        shown = pictures(video)
        assert len(shown) == FRAMES
        assert all(map(has_box, shown))
        assert f"{video}: {FRAMES} frames" in done.stderr
    assert len(list(tmp_path.glob("*.jpg"))) == 2 * FRAMES


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_video_is_complete_after_ctrl_c(
    kafka: KafkaSettings, filmed: str, tmp_path: Path, number: signal.Signals
) -> None:
    options = ("--model", filmed, "--camera", "gate", "--video", str(tmp_path), "--fps", str(FPS))
    with subprocess.Popen(
        command(*options), env=environment(kafka, PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(FRAMES)]
        running.send_signal(number)
        assert running.wait(30) == 0

    assert all("gate" in line for line in lines)
    [video] = tmp_path.glob("*.mp4")
    assert len(pictures(video)) == FRAMES


def test_a_frame_that_is_not_kept_any_more_is_left_out_and_said(apache: LocalBroker, tmp_path: Path) -> None:
    kafka = kafka_settings(apache)
    model, frames = unique("ssd"), unique("frames")
    KafkaAdmin(kafka).create_topics([TopicSpec(name, 1, 1, {}) for name in (frames, f"detections.{model}")])
    film(kafka, model, frames)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(frames, 0, 10)]).values():
        future.result()

    done = tail(kafka, "--model", model, "--count", str(2 * FRAMES), "--video", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("its topic does not keep it any more") == 10
    assert f"frame {frames}-0-000009 is left out" in done.stderr
    assert [len(pictures(video)) for video in tmp_path.glob("*.mp4")] == [FRAMES - 5] * 2


def test_a_frame_that_is_too_large_is_left_out_and_said(
    kafka: KafkaSettings, model: str, tmp_path: Path
) -> None:
    options = ("--model", model, "--count", "3", "--annotate", str(tmp_path))
    done = tail(kafka, *options, FRAMEBUS_CONSUMER__MAX_FRAME_PIXELS="100")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is left out: the picture has 160x120 pixels") == 3


def test_a_model_that_nobody_runs_is_an_error(apache: LocalBroker) -> None:
    done = tail(kafka_settings(apache), "--model", "nobody")

    assert done.returncode == 1
    assert "topic detections.nobody does not exist" in done.stderr

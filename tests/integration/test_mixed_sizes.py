"""One stream of pictures of every size and format, through `framebus consume` and the real model.

Each is held against what the engine finds in the picture that Pillow makes of the same file.
"""

import io
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from kafka import KafkaConsumer, TopicPartition
from PIL import Image as PillowImage

from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.bus.kafka import KafkaProducer
from framebus.detections import Detections, Thresholds
from framebus.environment import load_settings
from framebus.frames import EncodedFrame, Image
from framebus.local_broker import LocalBroker
from framebus.model_repository import ModelRepository
from framebus.samples import fetch, lacking, read_samples
from framebus.wire import detections_from_json, encode_frame
from tests.e2e.consumer_process import ConsumerProcess
from tests.picture_kinds import KINDS

THRESHOLDS = Thresholds(confidence=30, predictions=50)
ROUNDED = 0.01
"""Pixels that the edge of a box may be off because messages round it."""
PHOTOS = 8
SIZES = [
    *((64, 64), (65, 64), (64, 65), (1, 1), (1, 64), (320, 240), (641, 359), (359, 641), (640, 480)),
    *((768, 576), (1281, 721), (1920, 1080)),
]
LARGE = (3840, 2160)
# TensorFlow makes twelve times the decoded pictures of them; of those there are 160 MiB.
ALLOWED_BYTES = 2_560 * 2**20
LARGE_KINDS = ["jpeg", "16-bit png", "webp", "progressive jpeg", "png", "lossless webp", "grey jpeg"]


@dataclass(frozen=True)
class Sent:
    """A picture file, and what the camera's frame with it is called."""

    camera_id: str
    frame_id: str
    kind: str
    size: tuple[int, int]
    data: bytes

    @property
    def may_differ(self) -> bool:
        """Whether decoders round this kind in different ways."""
        return self.kind in ("cmyk jpeg", "ycck jpeg")


@pytest.fixture(scope="module")
def photos() -> list[Image]:
    """Pictures with several people in each."""
    sample = read_samples()["plaza"]
    if reason := lacking(sample):
        pytest.skip(f"the video plaza cannot be fetched: {reason}")
    video = cv2.VideoCapture(str(fetch(sample, load_settings())))
    photos = []
    for number in range(PHOTOS):
        video.set(cv2.CAP_PROP_POS_FRAMES, 50 + 75 * number)
        decoded, frame = video.read()
        assert decoded
        photos.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    video.release()
    return photos


@pytest.fixture(scope="module")
def models(models_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample model with a threshold that lets more through."""
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(models_directory / "pedestrian", models / "pedestrian")
    config = models / "pedestrian" / "config.json"
    described = json.loads(config.read_text())
    described |= {"confidence": THRESHOLDS.confidence, "predictions": THRESHOLDS.predictions}
    config.write_text(json.dumps(described))
    return models


@pytest.fixture(scope="module")
def engine(models: Path) -> Iterator[TensorFlowDetectionEngine]:
    engine = TensorFlowDetectionEngine(ModelRepository(models).open("pedestrian"), load_settings())
    engine.load()
    yield engine
    engine.close()


@pytest.fixture
def consumer(best_broker: LocalBroker, models: Path, tmp_path: Path) -> Iterator[ConsumerProcess]:
    with ConsumerProcess(best_broker, models, tmp_path / "consumer.log") as consumer:
        yield consumer


def file(photos: Sequence[Image], camera_id: str, number: int, kind: str, size: tuple[int, int]) -> Sent:
    photo = PillowImage.fromarray(photos[number % len(photos)]).resize(size)
    return Sent(camera_id, f"{camera_id}-{number}", kind, size, KINDS[kind](np.asarray(photo)))


def all_sorts(photos: Sequence[Image]) -> list[Sent]:
    """What six cameras send, in turn: four that never send the same size and format twice in a row, one that
    does, and one of 4K.
    """
    kinds = list(KINDS)
    sent = []
    for number in range(len(kinds)):
        for camera in range(4):
            kind = kinds[(number + 7 * camera) % len(kinds)]
            size = SIZES[(number + 3 * camera) % len(SIZES)]
            sent.append(file(photos, f"any-{camera}", number, kind, size))
        sent.append(file(photos, "steady", number, "jpeg", (768, 576)))
        if number < len(LARGE_KINDS):
            sent.append(file(photos, "large", number, LARGE_KINDS[number], LARGE))
    return sent


def publish(consumer: ConsumerProcess, sent: Sequence[Sent]) -> None:
    with closing(KafkaProducer(consumer.settings)) as producer:
        for one in sent:
            frame = EncodedFrame(one.camera_id, one.frame_id, datetime.now(UTC), one.data)
            while not producer.publish(encode_frame(frame, consumer.topic)):
                producer.poll(0.1)
        assert producer.flush(60) == 0


def wait_until_finished(consumer: ConsumerProcess, count: int) -> None:
    """Waits until so many frames were answered."""
    counters = re.compile(r"^framebus_(?:frames|dead_letters)_total\{.*\} (\S+)$", re.MULTILINE)
    deadline_s = time.monotonic() + 120
    while (answered := sum(map(float, counters.findall(consumer.get("/metrics")[1])))) < count:
        assert time.monotonic() < deadline_s, f"only {answered} of {count} frames are finished"
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"the consumer ended with exit code {consumer.process.wait(0.2)}")


def stop(consumer: ConsumerProcess) -> None:
    consumer.process.send_signal(signal.SIGTERM)
    assert consumer.process.wait(timeout=40) == 0


def everything(consumer: ConsumerProcess, topic: str) -> list[Any]:
    """All that a topic holds of this consumer's frames, per partition in order."""
    with closing(KafkaConsumer(bootstrap_servers=consumer.settings.bootstrap_servers)) as reader:
        partitions = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic) or ()]
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        ends = reader.end_offsets(partitions)
        records: list[Any] = []
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for found in reader.poll(timeout_ms=1_000).values():
                records += found
    return records


def messages_of(consumer: ConsumerProcess) -> list[dict[str, Any]]:
    messages = [json.loads(record.value) for record in everything(consumer, "detections.pedestrian")]
    return [message for message in messages if message["source"]["topic"] == consumer.topic]


def pillow_decoded(data: bytes) -> Image:
    opened = PillowImage.open(io.BytesIO(data))
    if opened.mode.startswith("I;16"):  # Pillow would clip these instead of scaling them
        return np.repeat((np.asarray(opened) >> 8).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    return np.asarray(opened.convert("RGB"))


def assert_same(found: Detections, wanted: Detections, sent: Sent) -> None:
    """What is certain in one of them is in the other too."""
    score_tolerance, box_tolerance = (0.03, 0.01) if sent.may_differ else (1e-4, 1e-3)
    box_tolerances = box_tolerance * np.array([*sent.size, *sent.size]) + ROUNDED
    certain = THRESHOLDS.confidence / 100 + score_tolerance
    for ones, others in ((found, wanted), (wanted, found)):
        left = list(range(len(others)))
        for box, score in zip(ones.boxes, ones.scores, strict=True):
            if score <= certain:
                continue
            twins = [
                number
                for number in left
                if abs(others.scores[number] - score) <= score_tolerance
                and np.all(np.abs(others.boxes[number] - box) <= box_tolerances)
            ]
            assert twins, f"{sent.kind} of {sent.size}: only one has {score:.3f} at {box}"
            left.remove(twins[0])


@pytest.mark.slow
def test_every_size_and_format_in_one_stream_is_answered_as_if_it_came_alone(
    consumer: ConsumerProcess, engine: TensorFlowDetectionEngine, photos: list[Image]
) -> None:
    sent = all_sorts(photos)
    assert {one.kind for one in sent} == set(KINDS)
    assert {one.size for one in sent} == {*SIZES, LARGE}

    publish(consumer, sent)
    wait_until_finished(consumer, len(sent))
    stop(consumer)

    assert everything(consumer, consumer.dead) == []
    messages = messages_of(consumer)
    assert sorted(message["id"] for message in messages) == sorted(one.frame_id for one in sent)
    for camera_id in {one.camera_id for one in sent}:
        assert [message["id"] for message in messages if message["sensorId"] == camera_id] == [
            one.frame_id for one in sent if one.camera_id == camera_id
        ]
    by_id = {message["id"]: message for message in messages}
    people = 0
    for one in sent:
        message = by_id[one.frame_id]
        picture = pillow_decoded(one.data)
        assert message["image"] == {"width": one.size[0], "height": one.size[1]}, one.kind
        found, _ = detections_from_json(message)
        assert np.all((found.boxes >= 0) & (found.boxes <= [*one.size, *one.size])), one
        (wanted,) = engine.detect([picture])
        assert_same(found, wanted.keep(THRESHOLDS), one)
        people += len(found)
    assert people > 2 * len(sent)


@pytest.mark.slow
def test_memory_is_bounded_while_large_pictures_come_as_fast_as_they_can(
    consumer: ConsumerProcess, photos: list[Image]
) -> None:
    files = [file(photos, "large", number, "jpeg", LARGE) for number in range(4)]
    sent = [
        replace(one, camera_id=f"large-{camera}", frame_id=f"{one.frame_id}-{turn}")
        for turn in range(10)
        for camera, one in enumerate(files)
    ]
    idle_bytes = peak_bytes_since_now(consumer.process.pid)

    publish(consumer, sent)
    wait_until_finished(consumer, len(sent))

    peak_bytes = resident_bytes(consumer.process.pid, "VmHWM")
    print(f"{len(sent)} pictures of 4K: {(peak_bytes - idle_bytes) / 2**20:.0f} MiB over idle")  # noqa: T201
    assert peak_bytes - idle_bytes < ALLOWED_BYTES
    stop(consumer)


def peak_bytes_since_now(pid: int) -> int:
    """Makes the kernel forget the peak so far (man 5 proc, clear_refs); returns what the process holds."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return resident_bytes(pid, "VmRSS")


def resident_bytes(pid: int, which: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(which))

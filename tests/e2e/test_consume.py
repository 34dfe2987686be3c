"""The consumer process, on a real broker and the real model, fed and read by clients that are not ours."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from kafka import KafkaProducer

from framebus.local_broker import BrokerKind, LocalBroker
from tests.e2e.consumer_process import ConsumerProcess, read
from tests.pictures import jpeg

DETECTIONS = "detections.pedestrian"


@pytest.fixture
def consumer(broker: LocalBroker, models_directory: Path, tmp_path: Path) -> Iterator[ConsumerProcess]:
    with ConsumerProcess(broker, models_directory, tmp_path / "consumer.log") as consumer:
        yield consumer


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
    assert (
        'framebus_dead_letters_total{camera="cam-9",model="pedestrian",reason="undecodable"} 1.0' in metrics
    )

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

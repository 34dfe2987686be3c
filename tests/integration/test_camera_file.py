"""`framebus produce` with a file of cameras, as a process of its own on a real broker."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from framebus.bus import TopicSpec
from framebus.bus.kafka import KafkaAdmin
from framebus.images import size
from framebus.local_broker import LocalBroker
from tests.integration.produce_command import TIMEOUT_S, ProduceCommand
from tests.kafka import kafka_settings, unique
from tests.unit.producer.http_camera import PICTURES, http_camera, live, mute_server


def test_the_camera_file_is_read_again_at_sighup(tansu: LocalBroker, tmp_path: Path) -> None:
    topic, file = unique("frames"), tmp_path / "cameras.yaml"
    KafkaAdmin(kafka_settings(tansu)).create_topics([TopicSpec(topic, 1, 1, {})])
    with http_camera() as server, mute_server() as mute:
        server.will(live)
        gate = f"{{id: gate, source: '{server.url(credentials='user:s3cret@')}', max_fps: 20}}"
        yard = f"{{id: yard, source: '{server.url()}', resize: 32x32, max_fps: 20, model: ssd}}"
        mute_camera = f"{{id: mute, source: 'rtsp://127.0.0.1:{mute}/live'}}"
        file.write_text(f"cameras: [{gate}, {mute_camera}]")
        command = ProduceCommand(
            tansu,
            tmp_path,
            *("--topic", topic, "--cameras", str(file), "--json"),
            *("--camera", f"roof={server.url()}"),
        )
        with command.process as process:
            try:
                command.until_logged("http port open")
                command.until_published("gate")
                command.until_published("roof")

                file.write_text(f"cameras: [{gate}, {yard}, {mute_camera}]")
                process.send_signal(signal.SIGHUP)
                command.until_published("yard")

                file.write_text("cameras: [{id: gate, source: a.mp4, fps: fast}]")
                process.send_signal(signal.SIGHUP)
                refusal = command.until_logged("the cameras stay as they are")
                metrics = command.metrics()

                file.write_text(f"cameras: [{gate}, {mute_camera}]")
                process.send_signal(signal.SIGHUP)
                command.until_logged("camera ended", "yard")
                later_metrics = command.metrics()

                stopped_s = time.monotonic()
                summary = command.stop()
                stop_s = time.monotonic() - stopped_s
            finally:
                process.kill()

    assert f"{file}: camera 'gate': fps: Input should be a valid number" in refusal["error"]
    for camera_id, connected in (("gate", 1), ("yard", 1), ("roof", 1), ("mute", 0)):
        assert f'framebus_camera_connected{{camera="{camera_id}"}} {connected}.0' in metrics
    assert 'framebus_camera_connected{camera="yard"}' not in later_metrics
    assert "s3cret" not in str(command.log())
    # The camera that hangs holds up the end for no longer than its share.
    assert stop_s < 5

    messages = read_topic(tansu, topic, summary["published"])
    own = {
        camera_id: [message for message in messages if message.key() == camera_id.encode()]
        for camera_id in ("gate", "yard", "roof")
    }
    assert {camera_id: len(seen) for camera_id, seen in own.items()} == {
        camera_id: seen["published"] for camera_id, seen in summary["cameras"].items() if camera_id != "mute"
    }
    for seen in own.values():
        sequences = [header(message, "ce_sequence") for message in seen]
        assert sequences == [b"%d" % number for number in range(1, len(seen) + 1)]
    assert {header(message, "ce_model") for message in own["yard"]} == {b"ssd"}
    assert {header(message, "ce_model") for message in own["gate"]} == {None}
    assert {message.value() for message in own["gate"]} <= set(PICTURES)
    assert max(max(size(message.value() or b"")) for message in own["yard"]) <= 32


def header(message: Message, name: str) -> bytes | None:
    headers: dict[str, bytes] = dict(message.headers() or ())  # type: ignore[arg-type]
    return headers.get(name)


def read_topic(broker: LocalBroker, topic: str, count: int) -> list[Message]:
    """Reads `count` records of a topic of one partition, and makes sure that there are no more."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": unique("reader")})
    with closing(consumer):
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        messages = consumer.consume(count, TIMEOUT_S) + consumer.consume(1, 1)
    assert [message.error() for message in messages] == [None] * count
    return messages


@pytest.mark.parametrize(
    ("content", "options", "complaint"),
    [
        (
            "cameras: [{id: gate, source: 'rtsp://user:s3cret@gate/live', jpg_quality: 90}]",
            [],
            "cameras.yaml: camera 'gate': jpg_quality: no such key; did you mean jpeg_quality?",
        ),
        (
            "cameras: [{id: gate, source: 'rtsp://user:s3cret@gate/live'}]",
            ["--camera", "gate=gate.mp4"],
            "camera 'gate' is in cameras.yaml and given with --camera too",
        ),
        (
            "cameras: [{id: gate, source: 'rtsp://user:s3cret@gate/live'}]",
            ["--camera", "yard=rtsp://user:s3cret@yard/live", "--fps", "5"],
            "camera 'yard': fps: a stream comes at its own rate; limit it with max_fps",
        ),
    ],
    ids=["unknown key", "given twice", "rate of a stream"],
)
def test_what_is_wrong_is_refused_at_start(
    tmp_path: Path, content: str, options: list[str], complaint: str
) -> None:
    (tmp_path / "cameras.yaml").write_text(content)

    done = subprocess.run(
        [sys.executable, "-m", "framebus.cli", "produce", "--cameras", "cameras.yaml", *options],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )

    assert done.returncode == 2
    assert complaint in done.stderr
    assert "s3cret" not in done.stderr

"""Cameras that fail in every way at once, read by `framebus produce` as a process of its own."""

import os
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from framebus.bus import TopicSpec
from framebus.bus.kafka import KafkaAdmin
from framebus.local_broker import LocalBroker
from framebus.local_broker.ports import free_ports
from tests.integration.produce_command import ProduceCommand
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg
from tests.unit.producer.http_camera import (
    PICTURES,
    Answer,
    Handler,
    basic,
    body,
    hang,
    http_camera,
    live,
    mjpeg,
    mute_server,
    part,
    refuse,
)

MAX_BYTES = 100_000
FPS, SECONDS = 20, 5
PUBLISHED, SILENCE = "framebus_published_frames_total", "framebus_camera_silence_seconds"
CONNECTED, RECONNECTS = "framebus_camera_connected", "framebus_camera_reconnects_total"


def noise(handler: Handler) -> None:
    """Says something else each time, and never HTTP."""
    handler.connection.sendall(os.urandom(1_000))


def half_a_picture(handler: Handler) -> None:
    handler.wfile.write(part(PICTURES[0])[:-100])
    hang(handler)


def too_large(handler: Handler) -> None:
    """A stream of which every other picture is too large."""
    handler.reply("multipart/x-mixed-replace; boundary=frame")
    while not handler.server.released.wait(0.05):
        handler.wfile.write(part(PICTURES[0] + bytes(MAX_BYTES) if handler.server.sent % 2 else PICTURES[0]))
        handler.server.sent += 1


ANSWERS: dict[str, Answer] = {
    "gate": live,
    "locked": basic("user", "other", live),
    "moved": refuse(404),
    "noisy": noise,
    "page": body("text/html", b"<html>"),
    "mute": hang,
    "stalling": mjpeg(PICTURES[:1], then=half_a_picture),
    "large": too_large,
}
ERRORS = {
    "locked": "answered 401 Unauthorized; check user and password in the URL",
    "moved": "answered 404 Not Found",
    "noisy": "answered with something that is not HTTP",
    "page": "answered with a web page instead of pictures; check the path",
    "mute": "said nothing for 1 s",
}


@pytest.fixture
def topic(tansu: LocalBroker) -> str:
    name = unique("frames")
    KafkaAdmin(kafka_settings(tansu)).create_topics([TopicSpec(name, 2, 1, {})])
    return name


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    directory = tmp_path / "pictures"
    directory.mkdir()
    (directory / "1.jpg").write_bytes(jpeg())
    return directory


def test_bad_cameras_are_told_of_once_and_the_good_ones_keep_their_rate(
    tansu: LocalBroker, topic: str, pictures: Path, tmp_path: Path
) -> None:
    (closed,) = free_ports(1)
    missing = tmp_path / "missing.mp4"
    with ExitStack() as servers:
        mute = servers.enter_context(mute_server())
        network = {camera_id: servers.enter_context(http_camera()) for camera_id in ANSWERS}
        for camera_id, answer in ANSWERS.items():
            network[camera_id].will(answer)
        sources = {
            "closed": f"http://user:s3cret@127.0.0.1:{closed}/?token=s3cret",
            "mute-rtsp": f"rtsp://user:s3cret@127.0.0.1:{mute}/live",
            "missing": str(missing),
            **{
                camera_id: server.url("/?token=s3cret", "user:s3cret@")
                for camera_id, server in network.items()
            },
        }
        lines = [f"  - {{id: {camera_id}, source: '{source}'}}" for camera_id, source in sources.items()]
        lines.append(f"  - {{id: yard, source: '{pictures}', fps: {FPS}, loop: true}}")
        (tmp_path / "cameras.yaml").write_text("\n".join(["cameras:", *lines]))
        command = ProduceCommand(
            tansu,
            tmp_path,
            *("--topic", topic, "--cameras", str(tmp_path / "cameras.yaml"), "--json"),
            FRAMEBUS_PRODUCER__CAMERA_TIMEOUT_S="1",
            FRAMEBUS_PRODUCER__MAX_RECONNECT_DELAY_S="1",
            FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES=str(MAX_BYTES),
        )
        with command.process as process:
            try:
                for camera_id in (*ERRORS, "closed", "mute-rtsp"):
                    command.until_logged("camera cannot be read", camera_id)
                command.until_logged("camera lost", "stalling")
                command.until_published("large")

                started_s, sent = time.monotonic(), network["gate"].sent
                gate, yard = (command.value(PUBLISHED, camera_id) for camera_id in ("gate", "yard"))
                enough = yard + SECONDS * FPS
                command.until(lambda: command.value(PUBLISHED, "yard") >= enough, "frames")
                lasted_s, sent = time.monotonic() - started_s, network["gate"].sent - sent
                published = command.value(PUBLISHED, "gate") - gate

                silences_s = {
                    camera_id: command.value(SILENCE, camera_id) for camera_id in (*sources, "yard")
                }
                connected = {camera_id: command.value(CONNECTED, camera_id) for camera_id in sources}
                stopped_s = time.monotonic()
                summary = command.stop(exit_code=1)
                stop_s = time.monotonic() - stopped_s
            finally:
                process.kill()

    assert lasted_s < 1.3 * SECONDS
    assert published >= 0.8 * sent > 100
    assert stop_s < 6

    never_there = {*ERRORS, "closed", "mute-rtsp", "missing"}
    assert {camera_id for camera_id in never_there if connected[camera_id]} == set()
    assert {camera_id for camera_id in never_there if silences_s[camera_id] < SECONDS} == set()
    assert max(silences_s[camera_id] for camera_id in ("gate", "yard", "large")) < 2

    log = command.log()
    assert "s3cret" not in str(log)
    assert [line["cameras"] for line in log if line["event"] == "cameras failed"] == [["missing"]]
    told = {camera_id: trouble(log, camera_id) for camera_id in (*sources, "yard")}
    # These come and go, or go on being bad.
    stalling, large = told.pop("stalling"), told.pop("large")
    url = {camera_id: server.url("/") for camera_id, server in network.items()}
    assert told == {
        "gate": [],
        "yard": [],
        **{
            camera_id: [f"camera cannot be read: {url[camera_id]}: {error}"]
            for camera_id, error in ERRORS.items()
        },
        "closed": [
            f"camera cannot be read: http://127.0.0.1:{closed}/: cannot be reached: Connection refused"
        ],
        "mute-rtsp": [
            f"camera cannot be read: rtsp://127.0.0.1:{mute}/live: gave no video that FFmpeg can read within "
            "1 s; check path, user and password with `ffprobe`"
        ],
        "missing": [f"camera failed: {summary['cameras']['missing']['failure']}"],
    }
    assert min(len(network[camera_id].requests) for camera_id in ERRORS) > 2
    assert set(stalling) == {f"camera lost: {url['stalling']}: said nothing for 1 s"}
    assert large[0] == (
        f"pictures skipped: a picture of more than {MAX_BYTES} bytes; "
        "raise FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES"
    )
    assert len(large) <= 2  # now, and how many more at the end


def trouble(log: list[dict[str, Any]], camera_id: str) -> list[str]:
    """What the log told of a camera in warnings and errors."""
    return [
        f"{line['event']}: {line.get('error')}"
        for line in log
        if line.get("camera") == camera_id and line["level"] != "info"
    ]


def test_cameras_that_were_away_are_back_by_themselves_while_the_others_go_on(
    tansu: LocalBroker, topic: str, tmp_path: Path
) -> None:
    asked_s: list[float] = []

    def busy(handler: Handler) -> None:
        asked_s.append(time.monotonic())
        refuse(503)(handler)

    def free_again(handler: Handler) -> None:
        asked_s.append(time.monotonic())
        live(handler)

    with http_camera() as gate, http_camera() as roof, ExitStack() as plug:
        yard = plug.enter_context(http_camera())
        gate.will(live)
        yard.will(live)
        roof.will(busy, busy, busy, busy, free_again)
        command = ProduceCommand(
            tansu,
            tmp_path,
            *("--topic", topic, "--json"),
            *("--camera", f"gate={gate.url()}", "--camera", f"yard={yard.url()}"),
            *("--camera", f"roof={roof.url()}"),
            FRAMEBUS_PRODUCER__MAX_RECONNECT_DELAY_S="2",
        )
        with command.process as process:
            try:
                command.until_logged("http port open")
                command.until_published("gate")
                command.until_published("yard")
                plug.close()
                command.until_logged("camera lost", "yard")

                published, sent = command.value(PUBLISHED, "gate"), gate.sent
                command.until(lambda: command.value(SILENCE, "yard") > 3, "silence")
                assert command.value(CONNECTED, "yard") == 0
                assert command.value(PUBLISHED, "gate") - published >= 0.8 * (gate.sent - sent) > 50

                again = plug.enter_context(http_camera(yard.server_port))
                again.will(live)
                command.until(lambda: command.value(CONNECTED, "yard") == 1, "the camera")
                command.until(lambda: command.value(SILENCE, "yard") < 1, "pictures")
                command.until_published("roof")
                assert command.value(RECONNECTS, "yard") == 1
                assert command.value(RECONNECTS, "roof") == command.value(RECONNECTS, "gate") == 0
                summary = command.stop()
            finally:
                process.kill()

    assert all(summary["cameras"][camera_id]["published"] > 0 for camera_id in ("gate", "yard", "roof"))
    events = {
        camera_id: [line["event"] for line in command.log() if line.get("camera") == camera_id]
        for camera_id in ("gate", "yard", "roof")
    }
    assert events == {
        "gate": ["camera started", "camera connected", "camera ended"],
        "yard": [
            "camera started",
            "camera connected",
            "camera lost",
            "camera cannot be read",
            "camera connected",
            "camera ended",
        ],
        "roof": ["camera started", "camera cannot be read", "camera connected", "camera ended"],
    }
    gaps_s = [later_s - earlier_s for earlier_s, later_s in pairwise(asked_s)]
    assert [gap_s >= least_s for gap_s, least_s in zip(gaps_s, (0.25, 0.5, 1, 1), strict=True)] == [True] * 4


def test_a_file_that_cannot_be_read_is_told_by_the_exit_code_and_the_others_come_to_their_end(
    tansu: LocalBroker, topic: str, pictures: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.mp4"
    command = ProduceCommand(
        tansu,
        tmp_path,
        *("--topic", topic, "--fps", "50", "--loop", "--frames", "25", "--json"),
        *("--camera", f"gate={missing}", "--camera", f"yard={pictures}"),
    )
    with command.process as process:
        try:
            summary = command.summary(exit_code=1)
        finally:
            process.kill()

    assert summary["cameras"]["yard"] == {"published": 25, "dropped": 0, "skipped": 0, "failure": None}
    failure = f"{missing}: no such file; a camera is a video file, a directory of pictures, a URL or a webcam"
    assert summary["cameras"]["gate"] == {"published": 0, "dropped": 0, "skipped": 0, "failure": failure}
    (last,) = (line for line in command.log() if line["event"] == "cameras failed")
    assert (last["level"], last["cameras"]) == ("error", ["gate"])

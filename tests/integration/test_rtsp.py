"""Cameras that speak RTSP: GStreamer's server on loopback."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from framebus.frames import EncodedFrame
from framebus.images import decode, size
from framebus.local_broker.ports import free_ports
from framebus.settings import Settings
from producer.camera_reader import CameraReader
from producer.camera_spec import CameraSpec
from producer.cameras import create_camera
from producer.encoder import Encoder
from tests.integration.scenes import Scene, Script
from tests.unit.producer.http_camera import mute_server

SERVER = Path(__file__).with_name("rtsp_server.py")
# GStreamer's bindings are a part of the system, not of the environment that the tests run in.
PYTHON = "/usr/bin/python3"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"


class RtspServer:
    """The server, as a process of its own that can be stopped, resumed, killed and started again.

    Attributes:
        size: Of the pictures of `/live` from the next start on.
    """

    def __init__(self, *credentials: str) -> None:
        (self.port,) = free_ports(1)
        self.size = "320x240"
        self._credentials = credentials
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [PYTHON, str(SERVER), str(self.port), self.size, *self._credentials]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if answer.startswith("missing"):
            pytest.skip(f"without GStreamer's RTSP server (apt install {PACKAGES}): {answer}")
        assert answer == "ready"

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()

    def url(self, path: str, credentials: str = "") -> str:
        return f"rtsp://{credentials}127.0.0.1:{self.port}{path}"


@contextmanager
def rtsp_server(*credentials: str) -> Iterator[RtspServer]:
    if not Path(PYTHON).exists():
        pytest.skip(f"without the system's Python, {PYTHON}, there are no bindings of GStreamer")
    server = RtspServer(*credentials)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with rtsp_server() as server:
        yield server


def camera(source: str, camera_id: str = "gate", **spec: Any) -> CameraSpec:
    return CameraSpec(id=camera_id, source=source, **spec)


def test_the_pictures_of_a_stream_are_published_as_they_come(server: RtspServer) -> None:
    scene = Scene(camera(server.url("/live")))

    started_s = time.monotonic()
    scene.play(scene.more_frames("gate", 60))
    rate = len(scene.frames("gate")) / (time.monotonic() - started_s)

    frames = scene.frames("gate")
    assert {size(frame.data) for frame in frames} == {(320, 240)}
    assert [frame.sequence for frame in frames] == [str(number) for number in range(1, len(frames) + 1)]
    assert {frame.content_type for frame in frames} == {"image/jpeg"}
    assert scene.events("gate") == ["camera connected"]
    assert rate < 25


def age_s(frame: EncodedFrame) -> float:
    """How long ago the picture was made, as its colour tells, up to ten seconds."""
    red, green, _ = decode(frame.data, 10**6).reshape(-1, 3).mean(axis=0)
    shown_s = round((green - 12) / 25) + round((red - 12) / 25) / 10
    return float((time.time() - shown_s) % 10)


def test_whoever_is_slow_gets_pictures_that_are_new_all_the_same(server: RtspServer) -> None:
    ages_s: list[float] = []
    skipped: list[str] = []

    def accept_slowly(frame: EncodedFrame) -> None:
        ages_s.append(age_s(frame))
        threading.Event().wait(0.4)

    reader = CameraReader(
        camera(server.url("/live")),
        create_camera(camera(server.url("/live")), Settings()),
        encoder=Encoder(jpeg_quality=95, fit=None, max_pixels=10**6),
        accept=accept_slowly,
        skipped=lambda _, reason, __: skipped.append(reason),
        max_frames=20,
    )
    reader.run()

    # At one picture in eight, a backlog would have grown to seven seconds.
    assert max(ages_s[5:]) < 1
    assert set(skipped) == {"superseded"}
    assert len(skipped) > 100


def test_rate_and_size_are_limited(server: RtspServer) -> None:
    scene = Scene(camera(server.url("/live"), max_fps=5, resize="160x160"))

    summary = scene.play(scene.more_frames("gate", 10))

    assert {size(frame.data) for frame in scene.frames("gate")} == {(160, 120)}
    limited, superseded = (
        scene.value("framebus_skipped_pictures_total", "gate", reason=reason) or 0
        for reason in ("rate_limited", "superseded")
    )
    assert limited > 20
    assert limited + superseded == summary.skipped


def test_a_camera_that_goes_away_is_connected_again_when_it_is_back(server: RtspServer) -> None:
    scene = Scene(camera(server.url("/live")))

    def script() -> Script:
        yield from scene.more_frames("gate")
        assert scene.value("framebus_camera_connected", "gate") == 1
        server.kill()
        yield from scene.until(lambda: scene.value("framebus_camera_connected", "gate") == 0, "the loss")
        yield from scene.until(lambda: len(scene.events("gate")) == 3, "the first vain attempt")
        server.start()
        yield from scene.more_frames("gate")
        assert scene.value("framebus_camera_reconnects_total", "gate") == 1

    scene.play(script())

    frames = scene.frames("gate")
    assert [frame.sequence for frame in frames] == [str(number) for number in range(1, len(frames) + 1)]
    assert scene.events("gate") == [
        "camera connected",
        "camera lost",
        "camera cannot be read",
        "camera connected",
    ]
    refused = next(line["error"] for line in scene.lines if line["event"] == "camera cannot be read")
    assert refused == f"{server.url('/live')}: cannot be reached: Connection refused"


def test_a_camera_that_falls_silent_holds_up_neither_the_others_nor_the_end(server: RtspServer) -> None:
    with rtsp_server() as other:
        scene = Scene(camera(server.url("/live")), camera(other.url("/live"), "yard"), camera_timeout_s=1)

        def script() -> Script:
            yield from scene.more_frames("gate")
            yield from scene.more_frames("yard")
            server.send(signal.SIGSTOP)
            yield from scene.until(lambda: scene.value("framebus_camera_connected", "gate") == 0, "the loss")
            silence_s = scene.value("framebus_camera_silence_seconds", "gate")
            assert silence_s is not None
            assert 1 <= silence_s < 5
            yield from scene.more_frames("yard", 20)
            assert scene.value("framebus_camera_connected", "yard") == 1

        scene.play(script())

        assert scene.stop_s < 3
        assert scene.events("yard") == ["camera connected"]
        assert scene.events("gate")[:2] == ["camera connected", "camera lost"]
        server.send(signal.SIGCONT)


def test_a_camera_that_hangs_while_it_is_opened_keeps_no_other_from_being_opened(server: RtspServer) -> None:
    with mute_server() as mute:
        scene = Scene(
            *(camera(f"rtsp://127.0.0.1:{mute}/live", f"mute {number}") for number in range(3)),
            camera(server.url("/live")),
            camera_timeout_s=10,
        )
        started_s = time.monotonic()

        scene.play(scene.more_frames("gate"))

        assert time.monotonic() - started_s - scene.stop_s < 6


def test_a_camera_that_changes_its_size_goes_on(server: RtspServer) -> None:
    scene = Scene(camera(server.url("/jpeg")), camera(server.url("/h264"), "yard"))

    def script() -> Script:
        yield from scene.until(
            lambda: {size(frame.data) for frame in scene.frames("gate")} == {(320, 240), (640, 480)},
            "both sizes",
        )
        yield from scene.more_frames("yard", 60)

    scene.play(script())

    assert scene.events("gate") == scene.events("yard") == ["camera connected"]
    # OpenCV scales H.264 to the size at the start.
    assert len({size(frame.data) for frame in scene.frames("yard")}) == 1


def test_a_camera_that_is_back_with_another_size_is_published_in_that_size(server: RtspServer) -> None:
    scene = Scene(
        camera(server.url("/live")),
        camera(server.url("/live"), "yard", resize="400x400"),
        camera_timeout_s=5,
    )

    def lost(camera_id: str) -> bool:
        return "camera lost" in scene.events(camera_id)

    def script() -> Script:
        for camera_id in ("gate", "yard"):
            yield from scene.more_frames(camera_id)
        server.kill()
        for camera_id in ("gate", "yard"):
            yield from scene.until(partial(lost, camera_id), f"the loss of {camera_id}")
        server.size = "640x480"
        server.start()
        for camera_id in ("gate", "yard"):
            yield from scene.more_frames(camera_id)

    scene.play(script())

    sizes = {
        camera_id: list(dict.fromkeys(size(frame.data) for frame in scene.frames(camera_id)))
        for camera_id in ("gate", "yard")
    }
    assert sizes == {"gate": [(320, 240), (640, 480)], "yard": [(320, 240), (400, 300)]}


def test_user_and_password_of_the_url_open_a_camera_and_are_told_to_nobody() -> None:
    with rtsp_server("user", "s3cret") as server:
        scene = Scene(
            camera(server.url("/live", "user:s3cret@")), camera(server.url("/live", "user:wr0ng@"), "yard")
        )

        def script() -> Script:
            yield from scene.more_frames("gate")
            yield from scene.until(lambda: scene.events("yard") != [], "the refusal")

        scene.play(script())

    assert scene.events("gate") == ["camera connected"]
    assert scene.events("yard") == ["camera cannot be read"], scene.lines
    assert f"{server.url('/live')}: gave no video" in str(scene.lines)
    assert "check path, user and password" in str(scene.lines)
    assert "s3cret" not in str(scene.lines)
    assert "wr0ng" not in str(scene.lines)

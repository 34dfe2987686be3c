"""Cameras on the network, from their socket to the bus: those that work, and those that do not."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.images import content_type, decode, size
from framebus.local_broker.ports import free_ports
from producer.camera_spec import CameraSpec
from tests.integration.scenes import Scene, Script
from tests.picture_files import FILES, HEIGHT, MAX_PIXELS, WIDTH
from tests.unit.producer.http_camera import (
    PICTURES,
    SIZES,
    Handler,
    HttpCameraServer,
    hang,
    http_camera,
    live,
    mjpeg,
    mute_server,
    part,
    snapshot,
)


@pytest.fixture
def server() -> Iterator[HttpCameraServer]:
    with http_camera() as server:
        yield server


def camera(source: str, camera_id: str = "gate", **spec: Any) -> CameraSpec:
    return CameraSpec(id=camera_id, source=source, **spec)


def test_a_stream_is_published_byte_for_byte_through_changes_of_size(server: HttpCameraServer) -> None:
    server.will(live)
    scene = Scene(camera(server.url()))

    scene.play(scene.more_frames("gate", 50))

    assert {size(frame.data) for frame in scene.frames("gate")} == set(SIZES)
    assert {frame.data for frame in scene.frames("gate")} == set(PICTURES)
    assert scene.events("gate") == ["camera connected"]


def test_only_pictures_that_are_too_large_are_encoded_again(server: HttpCameraServer) -> None:
    server.will(live)
    scene = Scene(camera(server.url(), resize="160x160"))

    scene.play(scene.more_frames("gate", 50))

    by_size = {size(frame.data): frame.data for frame in scene.frames("gate")}
    assert set(by_size) == {(64, 48), (160, 100), (16, 16)}
    assert (by_size[64, 48], by_size[16, 16]) == (PICTURES[0], PICTURES[2])


@pytest.mark.parametrize("resize", [None, "32x20"])
def test_a_directory_of_every_kind_of_picture_is_published_and_made_to_fit_if_wished(
    tmp_path: Path, resize: str | None
) -> None:
    for number, data in enumerate(FILES.values()):
        suffix = content_type(data).removeprefix("image/")
        (tmp_path / f"{number:03}.{suffix}").write_bytes(data)
    scene = Scene(camera(str(tmp_path), fps=200, resize=resize))

    scene.play(scene.until(lambda: len(scene.frames("gate")) == len(FILES), "all pictures"))

    for (name, data), frame in zip(FILES.items(), scene.frames("gate"), strict=True):
        if resize is None:
            assert frame.data == data, name
            continue
        wanted = (32, 19) if size(data) == (WIDTH, HEIGHT) else (5, 20)
        assert (frame.content_type, size(frame.data)) == ("image/jpeg", wanted), name
        colour, wanted_colour = (decode(file, MAX_PIXELS).mean(axis=(0, 1)) for file in (frame.data, data))
        assert np.abs(colour - wanted_colour).max() < 4, name
    assert {frame.content_type for frame in scene.frames("gate")} == (
        {"image/jpeg", "image/png", "image/webp"} if resize is None else {"image/jpeg"}
    )


def test_single_pictures_are_published_at_the_wished_rate(server: HttpCameraServer) -> None:
    server.will(snapshot(PICTURES[0]))
    scene = Scene(camera(server.url(), fps=20))

    scene.play(scene.more_frames("gate", 20))

    frames = scene.frames("gate")
    assert {frame.data for frame in frames} == {PICTURES[0]}
    lasted_s = (frames[19].captured_at - frames[0].captured_at).total_seconds()
    assert lasted_s == pytest.approx(19 / 20, abs=0.3)


def test_what_is_no_picture_is_skipped_told_and_counted(server: HttpCameraServer) -> None:
    def damaged(handler: Handler) -> None:
        handler.reply("multipart/x-mixed-replace; boundary=frame")
        for data in (PICTURES[0], b"<html>", PICTURES[1]):
            handler.wfile.write(part(data))
            handler.server.released.wait(0.2)
        hang(handler)

    server.will(damaged)
    scene = Scene(camera(server.url()))

    scene.play(scene.until(lambda: len(scene.frames("gate")) == 2, "two frames"))

    assert [frame.data for frame in scene.frames("gate")] == PICTURES[:2]
    assert scene.value("framebus_skipped_pictures_total", "gate", reason="undecodable") == 1
    assert scene.events("gate") == ["camera connected", "pictures skipped"]


def test_bad_cameras_hold_up_neither_a_good_one_nor_the_end(server: HttpCameraServer, tmp_path: Path) -> None:
    server.will(live)
    (closed,) = free_ports(1)
    with mute_server() as mute:
        bad = {
            "mute rtsp": f"rtsp://user:s3cret@127.0.0.1:{mute}/live",
            "mute http": f"http://user:s3cret@127.0.0.1:{mute}/?token=s3cret",
            "closed rtsp": f"rtsp://user:s3cret@127.0.0.1:{closed}/live",
            "closed http": f"http://user:s3cret@127.0.0.1:{closed}/?token=s3cret",
            "webcam": "webcam:63",
            "missing": str(tmp_path / "missing.mp4"),
        }
        scene = Scene(
            *(camera(source, camera_id) for camera_id, source in bad.items()),
            camera(server.url()),
            camera_timeout_s=1,
        )

        def script() -> Script:
            yield from scene.more_frames("gate")
            for camera_id in bad:
                yield from scene.until(partial(scene.events, camera_id), f"news of {camera_id}")
            connected = {name: scene.value("framebus_camera_connected", name) for name in (*bad, "gate")}
            assert connected == {**dict.fromkeys(bad, 0.0), "gate": 1.0}
            yield from scene.more_frames("gate", 50)

        summary = scene.play(script())

        assert scene.stop_s < 3
        assert {camera_id for camera_id, seen in summary.cameras.items() if seen.published} == {"gate"}
        errors = {
            line["camera"]: line["error"]
            for line in scene.lines
            if line["event"] in ("camera cannot be read", "camera failed")
        }
        assert errors == {
            "mute rtsp": f"rtsp://127.0.0.1:{mute}/live: gave no video that FFmpeg can read within 1 s; "
            "check path, user and password with `ffprobe`",
            "mute http": f"http://127.0.0.1:{mute}/: said nothing for 1 s",
            "closed rtsp": f"rtsp://127.0.0.1:{closed}/live: cannot be reached: Connection refused",
            "closed http": f"http://127.0.0.1:{closed}/: cannot be reached: Connection refused",
            "webcam": "/dev/video63: no such device; `v4l2-ctl --list-devices` lists what is there",
            "missing": f"{tmp_path / 'missing.mp4'}: no such file; a camera is a video file, a directory of "
            "pictures, a URL or a webcam",
        }
        assert "s3cret" not in str(scene.lines)


def test_a_camera_that_comes_and_goes_is_there_again_each_time(server: HttpCameraServer) -> None:
    server.will(mjpeg(PICTURES), mjpeg(PICTURES[:1]), mjpeg(PICTURES[:1], then=hang), live)
    scene = Scene(camera(server.url()), camera_timeout_s=0.5, max_reconnect_delay_s=0.1)

    scene.play(scene.more_frames("gate", 20))

    assert scene.events("gate") == [*["camera connected", "camera lost"] * 3, "camera connected"]
    lost = [line["error"] for line in scene.lines if line["event"] == "camera lost"]
    ended, silent = f"{server.url()}: the stream ended", f"{server.url()}: said nothing for 0.5 s"
    assert lost == [ended, ended, silent]
    assert [frame.sequence for frame in scene.frames("gate")] == [
        str(number) for number in range(1, len(scene.frames("gate")) + 1)
    ]

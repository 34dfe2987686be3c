from pathlib import Path

import pytest

from framebus.errors import CameraError
from framebus.settings import Settings
from producer.camera_spec import CameraSpec
from producer.cameras import create_camera
from producer.cameras.camera import Camera
from producer.cameras.ffmpeg import VideoStream
from producer.cameras.http import HttpCamera
from producer.cameras.webcam import Webcam
from tests.unit.producer.conftest import MakeDirectory, MakeVideo


def camera_of(source: object, fps: float | None = None) -> Camera:
    return create_camera(CameraSpec(id="gate", source=str(source), fps=fps), Settings())


@pytest.mark.parametrize(("fps", "lasts_s"), [(None, 1 / 25), (5, 1 / 5)])
def test_a_file_is_a_video(make_video: MakeVideo, fps: float | None, lasts_s: float) -> None:
    camera = camera_of(make_video(frames=3, fps=25), fps)

    assert [picture.lasts_s for picture in camera.pictures()] == [lasts_s] * 3
    assert not camera.live


@pytest.mark.parametrize(("fps", "lasts_s"), [(None, 1), (5, 1 / 5)])
def test_a_directory_holds_pictures(make_directory: MakeDirectory, fps: float | None, lasts_s: float) -> None:
    camera = camera_of(make_directory(frames=3), fps)

    assert [picture.lasts_s for picture in camera.pictures()] == [lasts_s] * 3
    assert not camera.live


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://10.0.0.7/stream1", VideoStream),
        ("RTSPS://user:password@10.0.0.7:322/stream1", VideoStream),
        ("http://10.0.0.7/video.mjpg", HttpCamera),
        ("HTTPS://10.0.0.7/snapshot.jpg", HttpCamera),
        ("webcam:3", Webcam),
        ("/dev/video3", Webcam),
    ],
)
def test_the_source_tells_the_kind_of_a_live_camera(source: str, kind: type[Camera]) -> None:
    camera = camera_of(source)

    assert isinstance(camera, kind)
    assert camera.live


def test_what_is_neither_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(
        CameraError, match="a camera is a video file, a directory of pictures, a URL or a web"
    ):
        list(camera_of(tmp_path / "gone").pictures())

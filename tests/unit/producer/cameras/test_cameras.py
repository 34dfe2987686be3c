from pathlib import Path

import pytest

from framebus.errors import CameraError
from producer.cameras import create_camera
from tests.unit.producer.conftest import MakeDirectory, MakeVideo


@pytest.mark.parametrize(("fps", "lasts_s"), [(None, 1 / 25), (5, 1 / 5)])
def test_a_file_is_a_video(make_video: MakeVideo, fps: float | None, lasts_s: float) -> None:
    camera = create_camera(str(make_video(frames=3, fps=25)), jpeg_quality=90, fps=fps)

    assert [picture.lasts_s for picture in camera.pictures()] == [lasts_s] * 3


@pytest.mark.parametrize(("fps", "lasts_s"), [(None, 1), (5, 1 / 5)])
def test_a_directory_holds_pictures(make_directory: MakeDirectory, fps: float | None, lasts_s: float) -> None:
    camera = create_camera(str(make_directory(frames=3)), jpeg_quality=90, fps=fps)

    assert [picture.lasts_s for picture in camera.pictures()] == [lasts_s] * 3


def test_the_quality_decides_the_size_of_a_video_s_pictures(make_video: MakeVideo) -> None:
    path = str(make_video(frames=1))
    (coarse,), (fine,) = (create_camera(path, jpeg_quality=quality).pictures() for quality in (20, 95))

    assert len(coarse.data) < len(fine.data)


def test_what_is_neither_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="a camera is a video file or a directory of pictures"):
        list(create_camera(str(tmp_path / "gone"), jpeg_quality=90).pictures())

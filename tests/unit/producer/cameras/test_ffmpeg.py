from pathlib import Path

import numpy as np
import pytest

from framebus.errors import CameraError
from framebus.frames import Image
from producer.cameras.camera import Picture
from producer.cameras.ffmpeg import VideoFile
from tests.pictures import picture
from tests.unit.producer.conftest import MakeVideo


def video(path: Path, fps: float | None = None) -> VideoFile:
    return VideoFile(path, fps=fps)


def pixels_of(given: Picture) -> Image:
    assert isinstance(given.content, np.ndarray)
    return given.content


def test_every_frame_comes_once_and_in_order(make_video: MakeVideo) -> None:
    pictures = list(video(make_video(frames=5)).pictures())

    assert len(pictures) == 5
    for number, given in enumerate(pictures):
        differences = [np.abs(pixels_of(given).astype(int) - picture(seed=seed)).mean() for seed in range(5)]
        assert np.argmin(differences) == number


def test_colours_are_kept(make_video: MakeVideo) -> None:
    orange = np.full((48, 64, 3), (250, 130, 10), np.uint8)

    (given,) = video(make_video(frames=1, of=orange)).pictures()

    np.testing.assert_allclose(pixels_of(given), orange, atol=10)


@pytest.mark.parametrize(("fps", "lasts_s"), [(None, 1 / 12.5), (50, 1 / 50)])
def test_the_rate_is_the_file_s_own_unless_another_is_wished(
    make_video: MakeVideo, fps: float | None, lasts_s: float
) -> None:
    pictures = video(make_video(fps=12.5), fps).pictures()

    assert {given.lasts_s for given in pictures} == {lasts_s}


def test_a_video_that_was_cut_off_gives_what_is_there(make_video: MakeVideo) -> None:
    path = make_video(frames=20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert 0 < len(list(video(path).pictures())) < 20


def test_it_can_be_read_again_after_it_was_left_in_the_middle(make_video: MakeVideo) -> None:
    camera = video(make_video(frames=5))
    first_pass = camera.pictures()
    first = next(first_pass)
    first_pass.close()

    np.testing.assert_array_equal(pixels_of(next(camera.pictures())), pixels_of(first))


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=rf"{tmp_path / 'gone.mp4'}: no such file"):
        list(video(tmp_path / "gone.mp4").pictures())


@pytest.mark.parametrize("content", [b"", b"plain text\n" * 100])
def test_what_is_no_video_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.avi"
    path.write_bytes(content)

    with pytest.raises(CameraError, match=rf"{path}: not a video .* convert it"):
        list(video(path).pictures())


def test_a_video_without_frames_is_an_error_that_names_it(make_video: MakeVideo) -> None:
    path = make_video(frames=0)

    with pytest.raises(CameraError, match=str(path)):
        list(video(path).pictures())

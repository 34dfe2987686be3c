from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from framebus.cli.annotated_video import AnnotatedVideo
from framebus.errors import FramebusError
from framebus.frames import Image

BEGAN_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
FPS = 10


def grey(level: int, width: int = 64, height: int = 48) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def pictures(path: Path) -> Iterator[Image]:
    """What a player shows."""
    video = cv2.VideoCapture(str(path))
    assert video.isOpened()
    while (picture := video.read()[1]) is not None:
        yield np.asarray(picture, np.uint8)


def record(path: Path, frames: list[tuple[float, Image]]) -> AnnotatedVideo:
    """Writes frames that were captured so many seconds after the first."""
    with closing(AnnotatedVideo(path, FPS)) as video:
        for seconds, frame in frames:
            video.write(frame, BEGAN_AT + timedelta(seconds=seconds))
    return video


def levels(path: Path) -> list[int]:
    """The grey of each picture, as far as the codec kept it."""
    return [round(float(picture.mean()) / 20) * 20 for picture in pictures(path)]


def test_each_frame_is_shown_until_the_next_was_captured(tmp_path: Path) -> None:
    video = record(tmp_path / "a.mp4", [(0, grey(20)), (0.1, grey(60)), (0.4, grey(100)), (0.5, grey(140))])

    assert levels(video.path) == [20, 60, 60, 60, 100, 140]
    assert (video.written, video.left_out) == (4, 0)
    assert cv2.VideoCapture(str(video.path)).get(cv2.CAP_PROP_FPS) == FPS


def test_frames_that_come_in_a_bunch_are_all_shown(tmp_path: Path) -> None:
    video = record(
        tmp_path / "a.mp4", [(0, grey(20)), (0.51, grey(60)), (0.52, grey(100)), (0.53, grey(140))]
    )

    assert levels(video.path) == [20] * 5 + [60, 100, 140]


def test_a_camera_that_is_faster_than_the_video_is_shown_at_its_pace(tmp_path: Path) -> None:
    video = record(tmp_path / "a.mp4", [(number / 40, grey(100)) for number in range(400)])

    assert len(levels(video.path)) == pytest.approx(100, abs=6)
    assert video.written + video.left_out == 400


def test_a_pause_is_shortened(tmp_path: Path) -> None:
    video = record(tmp_path / "a.mp4", [(0, grey(20)), (3_600, grey(60)), (3_600.1, grey(100))])

    shown = levels(video.path)
    assert shown[-2:] == [60, 100]
    assert 4 * FPS < len(shown) < 7 * FPS


def test_a_camera_whose_clock_is_set_back_goes_on(tmp_path: Path) -> None:
    video = record(tmp_path / "a.mp4", [(0, grey(20)), (-3_600, grey(60)), (-3_599.9, grey(100))])

    assert levels(video.path) == [20, 60, 100]


@pytest.mark.parametrize(("width", "height"), [(32, 96), (256, 48), (640, 480), (1, 1)])
def test_a_frame_of_another_size_is_fitted_into_the_first(tmp_path: Path, width: int, height: int) -> None:
    video = record(tmp_path / "a.mp4", [(0, grey(20)), (0.1, grey(200, width, height))])

    first, second = pictures(video.path)
    assert first.shape == second.shape == (48, 64, 3)
    scale = min(64 / width, 48 / height)
    area = min(64, max(1, round(width * scale))) * min(48, max(1, round(height * scale)))
    assert second.mean() == pytest.approx(200 * area / (64 * 48), rel=0.1)
    assert second[24, 32].mean() == pytest.approx(200, abs=15)


@pytest.mark.parametrize(("width", "height"), [(63, 47), (1, 1), (9_000, 20)])
def test_any_size_can_be_the_first(tmp_path: Path, width: int, height: int) -> None:
    video = record(tmp_path / "a.mp4", [(0, grey(200, width, height)), (0.1, grey(200, width, height))])

    assert [picture.mean() for picture in pictures(video.path)] == pytest.approx([200, 200], abs=10)


def test_colours_stay(tmp_path: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 255
    video = record(tmp_path / "a.mp4", [(0, red)])

    [picture] = pictures(video.path)
    blue_green_red = picture.reshape(-1, 3).mean(axis=0)
    assert blue_green_red == pytest.approx([0, 0, 255], abs=10)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FramebusError, match=r"missing/a\.mp4 cannot be opened for writing"):
        record(tmp_path / "missing" / "a.mp4", [(0, grey(20))])


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    assert not record(tmp_path / "a.mp4", []).path.exists()

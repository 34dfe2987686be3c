from pathlib import Path

import numpy as np
import pytest

from framebus.cli.bench.footage import read_footage, video_or_default
from framebus.environment import load_settings
from framebus.errors import CameraError, SampleError
from framebus.images import decode
from tests.unit.framebus.cli.bench.conftest import FRAMES


def test_frames_are_rgb_in_the_order_of_the_video(video: Path) -> None:
    images = read_footage(video, frames=FRAMES).images
    assert {(image.shape, image.dtype.name) for image in images} == {((48, 64, 3), "uint8")}
    red, green, blue = np.array([image.mean(axis=(0, 1)) for image in images]).T
    assert (np.diff(red) > 10).all()
    assert green.max() < 10
    assert blue.max() < 10


def test_a_short_video_comes_round_again(video: Path) -> None:
    images = read_footage(video, frames=FRAMES + 2).images
    assert len(images) == FRAMES + 2
    assert np.array_equal(images[FRAMES + 1], images[1])


def test_jpegs_are_the_same_frames(video: Path) -> None:
    footage = read_footage(video, frames=3)
    for jpeg, image in zip(footage.jpegs, footage.images, strict=True):
        assert jpeg.startswith(b"\xff\xd8\xff")
        assert np.abs(decode(jpeg, 10_000).astype(int) - image).mean() < 2


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no video")
    with pytest.raises(CameraError, match=r"notes.txt: not a video .* --video"):
        read_footage(file)


def test_a_video_that_is_named_is_taken(video: Path) -> None:
    assert video_or_default(video, load_settings()) == video


def test_the_second_sample_is_taken_where_the_first_cannot_be_had(
    tmp_path: Path, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without the programs that fetch
    settings = load_settings(cache_dir=tmp_path / "cache")
    videos = tmp_path / "cache" / "videos"
    videos.mkdir(parents=True)
    (videos / street.name).symlink_to(street)
    assert video_or_default(None, settings) == videos / street.name


def test_without_any_sample_the_last_ones_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.write_text("in the way")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SampleError, match="street"):
        video_or_default(None, load_settings(cache_dir=cache))

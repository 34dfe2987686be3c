from pathlib import Path

import pytest

from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.limit import decode_ms, limit_fps, load_engine
from framebus.environment import load_settings


def test_the_limit_is_what_the_cores_could_do_if_only_the_parts_took_time() -> None:
    assert limit_fps([1.5, 7.5, 0.6, 0.4], cores=2) == pytest.approx(200)


def test_decoding_is_measured_with_frames_as_cameras_publish_them(video: Path) -> None:
    assert 0 < decode_ms(read_footage(video).jpegs, 0.05, load_settings())["decode_ms"] < 1000


def test_an_engine_is_measured_at_its_best_and_with_one_picture(models_dir: Path, video: Path) -> None:
    with load_engine(models_dir, "cups", video) as engine:
        assert engine.ask("at_its_best", 0.05)["engine_ms"] > 0
        assert engine.ask("one_image", 0.05)["image_ms"] > 0

import json
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

from framebus.cli import bench
from framebus.cli.bench.scale import CAMERAS, FULL_LOAD, ONE_CAMERA, PARTITIONS, SHORT_CAMERAS, subjects
from framebus.errors import CameraError, SettingsError

RATE_FPS = 100.0


def run(*arguments: object) -> Result:
    return CliRunner().invoke(bench.app, ["scale", "--model", "cups", *map(str, arguments)])


@pytest.mark.slow
def test_rows_tell_what_a_frame_costs(
    models_dir: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    results, plot = tmp_path / "results.json", tmp_path / "plot.svg"
    options = ("--case", "tensorflow", "--short", "--rate", RATE_FPS, "--seconds", 0.5, "--broker", "tansu")

    before = set(psutil.Process().children(recursive=True))
    result = run("--video", video, *options, "--json", results, "--plot", plot)

    assert result.exit_code == 0, result.output
    assert "<svg" in plot.read_text()
    written = json.loads(results.read_text())
    assert "Tansu" in written["machine"]["kafka_broker"]
    rows: list[dict[str, Any]] = written["results"]
    assert [(row["cameras"], row["partitions"], row["load"]) for row in rows] == [
        *((cameras, 8, "steady") for cameras in SHORT_CAMERAS),
        (16, 8, "full"),
    ]
    for row in rows:
        assert (row["model"], row["case"]) == ("cups", "tensorflow")
        assert row["fps"] > 0
        assert row["cpu_ms_per_frame"] > 0
        assert row["broker_cpu_ms_per_frame"] >= 0
        assert row["lag_frames"] >= 0
        assert row["consumer_idle_mb"] > 10
        beyond_mb = row["consumer_mb"] - row["consumer_idle_mb"]
        assert row["beyond_idle_mb"] == pytest.approx(beyond_mb)
    *steady, full = rows
    for row in steady:
        assert row["offered_fps"] == RATE_FPS
        times = row["cpu_ms_per_frame"] / steady[0]["cpu_ms_per_frame"]
        assert row["vs_one_camera"] == pytest.approx(times)
    assert "vs_one_camera" not in full
    assert list(temporary.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) <= before


def test_one_thing_becomes_more_at_a_time() -> None:
    assert ONE_CAMERA in (all_subjects := subjects(CAMERAS, PARTITIONS))
    assert all_subjects[-1] == FULL_LOAD
    assert {one.cameras for one in all_subjects if one.partitions == 8} == {*CAMERAS}
    assert {one.partitions for one in all_subjects if one.cameras == 16} == {*PARTITIONS, 8}
    assert all(one.partitions == 8 or one.cameras == 16 for one in all_subjects)


def test_what_cannot_be_measured_is_told_before_anything_is_started(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    assert isinstance(run("--video", tmp_path / "notes.txt").exception, CameraError)
    assert isinstance(run("--case", "fast").exception, SettingsError)
    assert isinstance(run("--broker", "docker").exception, SettingsError)

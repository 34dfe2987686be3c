import json
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

from framebus.cli import bench
from framebus.cli.bench.rest import SHORT_CONCURRENCIES, serving
from framebus.errors import CameraError, ModelError, SettingsError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(bench.app, ["rest", "--model", "cups", *map(str, arguments)])


@pytest.mark.slow
def test_rows_tell_of_requests_and_of_the_session_they_are_compared_with(
    models_dir: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    # What is measured has an API of its own, which nobody needs a token for.
    monkeypatch.setenv("FRAMEBUS_API__ADMIN_TOKEN", "a secret of the user's")
    results, plot = tmp_path / "results.json", tmp_path / "plot.svg"
    options = ("--case", "tensorflow", "--short", "--rounds", 1, "--seconds", 0.2)

    before = set(psutil.Process().children(recursive=True))
    result = run("--video", video, *options, "--json", results, "--plot", plot)

    assert result.exit_code == 0, result.output
    assert "tensorflow" in result.stdout
    assert "raw-b8" in plot.read_text()
    written = json.loads(results.read_text())
    assert written["machine"]["cores"] > 0
    rows: dict[tuple[str, int], dict[str, Any]] = {
        (row["case"], row["concurrency"]): row for row in written["results"]
    }
    raws = [("raw-b1", 1), ("raw-b8", 8)]
    assert list(rows) == [*raws, *(("tensorflow", number) for number in SHORT_CONCURRENCIES)]
    for subject, row in rows.items():
        assert row["model"] == "cups"
        for raw in raws:
            times = row["requests_per_s"] / rows[raw]["requests_per_s"]
            assert row[f"vs_{raw[0]}".replace("-", "_")] == pytest.approx(times)
        if subject in raws:
            continue
        assert row["engine"] == "tensorflow_detection"
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["p99_ms_most"]
        assert row["cpu_ms_per_request"] > 0
        assert row["client_cpu_ms_per_request"] > 0
    assert list(temporary.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.slow
def test_a_model_that_cannot_be_served_is_told_of(models_dir: Path) -> None:
    config = models_dir / "cups" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "inference_engine_name": "no_such"}))

    with pytest.raises(ModelError, match="Inference engine not found: no_such"), serving(models_dir, "cups"):
        pass


def test_what_cannot_be_measured_is_told_before_anything_is_loaded(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    assert isinstance(run("--video", tmp_path / "notes.txt").exception, CameraError)
    assert isinstance(run("--case", "fast").exception, SettingsError)
    assert isinstance(run("--json", tmp_path / "gone" / "results.json").exception, SettingsError)

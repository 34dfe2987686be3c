import json
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

from framebus.cli import bench
from framebus.cli.bench import variants
from framebus.cli.bench.engine import BATCHES
from framebus.cli.bench.machine import cores
from framebus.errors import CameraError, SettingsError

_DEADLINE_S = 120.0


def run(*arguments: object) -> Result:
    return CliRunner().invoke(bench.app, ["engine", "--model", "cups", *map(str, arguments)])


@pytest.mark.slow
def test_rows_have_every_engine_batch_size_and_number_of_threads(
    models_dir: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {"inference_engine_name": "no_such_engine"}
    # No part of this graph can be taken out of it, so the engine `auto` has to leave it whole.
    engines = {"auto-f32": variants.VARIANTS["auto-f32"], "unknown": unknown}
    monkeypatch.setattr(variants, "VARIANTS", engines)
    monkeypatch.setenv("FRAMEBUS_TENSORFLOW__CONCURRENCY", "3")
    results, plot = tmp_path / "results.json", tmp_path / "plot.svg"
    files = ("--json", results, "--plot", plot)

    result = run("--video", video, "--rounds", 2, "--seconds", 0.1, *files)

    assert result.exit_code == 0, result.output
    assert "without unknown of cups: Inference engine not found: no_such_engine" in result.stderr
    assert "auto-f32 of cups runs on tensorflow_detection: " in result.stderr
    assert "auto-f32" in result.stdout
    assert "<!-- auto-f32, calls 3 -->" in plot.read_text()
    written = json.loads(results.read_text())
    assert written["machine"]["cores"] == cores()
    rows: list[dict[str, Any]] = written["results"]
    settings = {("raw", 1, 1), ("raw", cores(), 1)}
    settings |= {("auto-f32", 1, 1), ("auto-f32", cores(), 1), ("auto-f32", cores(), 3)}
    measured = [(row["case"], row["threads"], row["calls"], row["batch"]) for row in rows]
    assert sorted(measured) == sorted((*setting, batch) for setting, batch in product(settings, BATCHES))
    assert {(row["case"], row.get("engine")) for row in rows} == {
        ("raw", None),
        ("auto-f32", "tensorflow_detection"),
    }
    for row in rows:
        assert 0 < row["ms_per_image_least"] <= row["ms_per_image"] <= row["ms_per_image_most"]
        assert row["fps_most"] * row["ms_per_image_least"] == pytest.approx(1000)
        assert row["cpu_ms_per_image"] > 0
        for figure, batch in (("vs_raw_b1", 1), ("vs_raw_b8", 8)):
            [raw] = [
                other
                for other in rows
                if (other["case"], other["threads"], other["batch"]) == ("raw", row["threads"], batch)
            ]
            assert raw[figure] == 1
            least, most = row["fps_least"] / raw["fps_most"], row["fps_most"] / raw["fps_least"]
            assert least * 0.999 <= row[f"{figure}_least"] <= row[f"{figure}_most"] <= most * 1.001


def test_what_cannot_be_measured_is_told_before_anything_is_loaded(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    assert isinstance(run("--video", tmp_path / "notes.txt").exception, CameraError)
    assert isinstance(run("--json", tmp_path / "gone" / "results.json").exception, SettingsError)


def test_a_short_look_is_at_engines_as_they_like_it_best(
    models_dir: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "VARIANTS", {"tensorflow": variants.VARIANTS["tensorflow"]})
    results = tmp_path / "results.json"
    assert run("--short", "--video", video, "--seconds", 0.1, "--json", results).exit_code == 0
    rows = json.loads(results.read_text())["results"]
    assert [(row["case"], row["threads"], row["calls"], row["batch"]) for row in rows] == [
        ("raw", cores(), 1, 1),
        ("raw", cores(), 1, 8),
        ("tensorflow", cores(), 2, 1),
        ("tensorflow", cores(), 2, 8),
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(
    models_dir: Path, video: Path, tmp_path: Path, number: signal.Signals
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = [sys.executable, "-c", "from framebus.cli.bench import app; app()", "engine", "--model", "cups"]
    with subprocess.Popen(
        [*program, "--video", str(video), "--seconds", "600"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
    ) as process:
        deadline_s = time.monotonic() + _DEADLINE_S
        while not (children := psutil.Process(process.pid).children(recursive=True)):
            assert time.monotonic() < deadline_s
            assert process.poll() is None
            time.sleep(0.05)
        assert list(temporary.iterdir()) != []
        process.send_signal(number)
        assert process.wait(_DEADLINE_S) == 130
    assert not any(child.is_running() for child in children)
    assert list(temporary.iterdir()) == []

import json
from pathlib import Path
from typing import Any

import pytest

from framebus.cli.bench.report import Plot, Report, tell_left_out
from framebus.errors import FramebusError

ROWS: list[dict[str, Any]] = [
    {"model": "cups", "case": "raw", "batch": 1, "fps": 40.26, "fps_least": 39.9, "fps_most": 41.0},
    {"model": "cups", "case": "raw", "batch": 8, "fps": 80.0, "fps_least": 79.0, "fps_most": 82.0},
    {"model": "pedestrian", "case": "auto-f32", "batch": 1, "fps": 143.0, "device": "CPU"},
    {"model": "pedestrian", "case": "limit", "batch": 1, "fps": None},
]
COLUMNS = {"model": "", "case": "", "batch": "d", "fps": ".1f"}
LINES = Plot("fps", "frames/s", "batch", "images per call", series=("case",), panels=("model",), is_log=True)
BARS = Plot("fps", "frames/s", "case", "engine", series=("model", "batch"))


def report() -> Report:
    return Report("Frames per second", COLUMNS, [*ROWS], plots=(LINES, BARS))


def test_the_table_has_medians_with_their_spread(capsys: pytest.CaptureFixture[str]) -> None:
    report().print()
    title, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert title == ["Frames", "per", "second"]
    words = [[word for word in line if word != "│"] for line in lines]
    assert ["cups", "raw", "1", "40.3", "(39.9-41.0)"] in words
    assert ["pedestrian", "auto-f32", "1", "143.0"] in words
    assert ["pedestrian", "limit", "1", "-"] in words


def test_json_has_the_machine_and_all_of_the_rows(tmp_path: Path) -> None:
    report().publish({"cpu": "a CPU", "cores": 2}, tmp_path / "results.json", None)
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "machine": {"cpu": "a CPU", "cores": 2},
        "results": ROWS,
    }


def test_a_plot_is_of_the_kind_that_its_name_says(tmp_path: Path) -> None:
    report().publish({}, None, tmp_path / "plot.png")
    report().publish({}, None, tmp_path / "plot.svg")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    drawing = (tmp_path / "plot.svg").read_text()
    # Text is drawn as curves, and each has a comment that tells what it says.
    for words in ("Frames per second", "frames/s", "images per call", "raw", "auto-f32", "cups, batch 8"):
        assert f"<!-- {words} -->" in drawing


def test_a_file_that_cannot_be_written_is_told_of_after_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FramebusError, match=r"gone.results\.json: No such file or directory"):
        report().publish({}, tmp_path / "gone" / "results.json", None)
    assert "pedestrian" in capsys.readouterr().out


def test_no_row_at_all_is_an_error() -> None:
    with pytest.raises(FramebusError, match="nothing could be measured"):
        Report("Frames per second", COLUMNS).publish({}, None, None)


def test_what_is_left_out_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    tell_left_out("auto-f32 of cups", FramebusError("openvino is not installed"))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == "without auto-f32 of cups: openvino is not installed\n"

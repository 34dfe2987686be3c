import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from framebus.cli import app
from framebus.cli.tail import Columns


def message(camera: str, model: str = "ssd", *, objects: int = 1) -> dict[str, Any]:
    found = {
        "type": "person",
        "classId": 1,
        "confidence": 0.934,
        "bbox": {"leftX": 10.4, "topY": 20.0, "rightX": 110.0, "bottomY": 220.6},
    }
    return {
        "sensorId": camera,
        "timestamp": "2026-01-31T12:00:00.250Z",
        "model": {"name": model},
        "timing": {"totalMs": 41.6},
        "objects": [found] * objects,
    }


def test_a_line_says_when_which_camera_which_model_how_soon_and_what() -> None:
    line = Columns([], ["ssd"]).line(message("gate"))

    assert re.split(" {2,}", line) == [
        "2026-01-31T12:00:00.250Z",
        "gate",
        "ssd",
        "42 ms",
        "person 93% (10,20 110,221)",
    ]


def test_columns_are_aligned_and_grow_with_the_cameras() -> None:
    columns = Columns([], ["ssd", "pedestrian"])
    long = columns.line(message("the camera at the gate"))
    heading = columns.heading
    short = columns.line(message("gate", "pedestrian", objects=0))

    assert long.index("ssd") == heading.index("model") == short.index("pedestrian")
    assert long.index("ms  ") == heading.index("cy  ") == short.index("ms  ")
    assert long.index("person") == heading.index("objects") == short.rindex("-")


def test_a_frame_without_objects_is_shown_too() -> None:
    assert Columns([], ["ssd"]).line(message("gate", objects=0)).endswith("42 ms  -")


def test_a_camera_cannot_command_the_terminal() -> None:
    line = Columns([], ["ssd"]).line(message("\x1b]0;owned\x07\ngate\u202e"))

    assert line.isprintable()
    assert r"\x1b]0;owned\x07\ngate\u202e" in line


def unwrapped(box: str) -> str:
    """The text of a box that breaks it anywhere."""
    return " ".join(re.sub("[│\\n]", " ", box).split())


@pytest.mark.parametrize("option", ["--annotate", "--video"])
def test_a_directory_that_cannot_be_made_is_wrong_usage(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")

    result = CliRunner().invoke(app, ["tail", option, str(tmp_path / "file")])

    assert result.exit_code == 2
    assert "File exists" in unwrapped(result.output)


def test_a_video_is_given_as_a_directory(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tail", "--video", str(tmp_path / "gate.mp4")])

    assert result.exit_code == 2
    assert "name a directory" in unwrapped(result.output)
    assert not (tmp_path / "gate.mp4").exists()

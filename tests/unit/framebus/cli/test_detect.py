import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import typer
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from framebus.cli.detect import detect
from framebus.errors import ModelError
from tests.graphs import brightness, write_graph

CONFIDENCE = 60


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that finds one cup in every picture as bright as `CONFIDENCE`; returns its graph."""
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("FRAMEBUS_TENSORFLOW__VISIBLE_DEVICES", "")
    folder = tmp_path / "models" / "cups"
    folder.mkdir(parents=True)
    (folder / "object-detection.pbtxt").write_text("item { id: 7 name: 'cup' }")
    config = {"inference_engine_name": "tensorflow_detection", "confidence": CONFIDENCE, "predictions": 15}
    (folder / "config.json").write_text(json.dumps(config))
    return write_graph(folder / "frozen_inference_graph.pb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def picture(file: Path, level: int = 255, width: int = 200, height: int = 100) -> Path:
    file.parent.mkdir(exist_ok=True)
    PillowImage.fromarray(np.full((height, width, 3), level, np.uint8)).save(file)
    return file


def invoke(*arguments: object, model: str = "cups") -> Result:
    app = typer.Typer()
    app.command()(detect)
    return CliRunner().invoke(app, ["--model", model, *map(str, arguments)])


@pytest.mark.usefixtures("model")
def test_json_is_one_object_a_line_in_the_schema_of_the_bus(folder: Path) -> None:
    file = picture(folder / "bright.png", level=204)
    result = invoke("--json", file)
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    message = json.loads(line)
    assert message.pop("timestamp").endswith("Z")
    assert len(message["model"].pop("version")) == 12
    assert message == {
        "version": "1.0",
        "id": str(file),
        "sensorId": str(folder),
        "image": {"width": 200, "height": 100},
        "model": {"name": "cups", "confidence": CONFIDENCE, "predictions": 15},
        "objects": [
            {
                "type": "cup",
                "classId": 7,
                "confidence": 0.8,
                "bbox": {"leftX": 40.0, "topY": 10.0, "rightX": 120.0, "bottomY": 50.0},
            }
        ],
    }


@pytest.mark.usefixtures("model")
def test_lines_keep_the_order_of_the_files_whatever_their_sizes(folder: Path) -> None:
    sizes = [(200, 100), (200, 100), (64, 48), (200, 100), (64, 48), *[(64, 48)] * 9]
    files = [
        picture(folder / f"{number}.png", level=170 + number, width=width, height=height)
        for number, (width, height) in enumerate(sizes)
    ]
    messages = [json.loads(line) for line in invoke("--json", *files).stdout.splitlines()]
    assert [message["id"] for message in messages] == [str(file) for file in files]
    assert [(message["image"]["width"], message["image"]["height"]) for message in messages] == sizes
    scores = [message["objects"][0]["confidence"] for message in messages]
    assert scores == pytest.approx([(170 + number) / 255 for number in range(len(files))], abs=1e-5)


@pytest.mark.usefixtures("model")
def test_the_table_names_files_in_which_nothing_is_found(folder: Path) -> None:
    bright, dark = picture(folder / "bright.png"), picture(folder / "dark.png", level=10)
    # Long paths are folded, so the rows are told by what else is in them.
    result = invoke(bright, dark)
    assert result.exit_code == 0
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["file", "type", "confidence", "(0..1)", "left", "top", "right", "bottom"]
    text = "\n".join(rows)
    assert "cup" in text
    assert all(value in text for value in ("1.000", "40.0", "10.0", "120.0", "50.0"))
    assert text.index("cup") < text.index("nothing")


@pytest.mark.usefixtures("model")
def test_a_bad_file_is_named_and_stops_no_other(folder: Path) -> None:
    good = [picture(folder / "a.png"), picture(folder / "z.jpg")]
    cut_off = picture(folder / "cut-off.png")
    cut_off.write_bytes(cut_off.read_bytes()[:60])
    text = folder / "text.jpg"
    text.write_text("I am no picture")
    result = invoke("--json", good[0], folder / "missing.png", cut_off, text, good[1])
    assert result.exit_code == 1
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [str(file) for file in good]
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line.partition(": ")[2].partition(": ")[0] for line in errors] == [
        str(folder / name) for name in ("missing.png", "cut-off.png", "text.jpg")
    ]
    assert errors[0].endswith("No such file or directory")


def test_a_picture_that_the_engine_refuses_fails_alone(model: Path, folder: Path) -> None:
    def nan_if_any_is_black(image: tf.Tensor) -> tf.Tensor:
        black = tf.reduce_any(tf.equal(brightness(image), 0.0))
        return tf.fill(tf.shape(image)[:1], tf.where(black, np.nan, 1.0))

    write_graph(model, outputs={"num_detections": nan_if_any_is_black})
    files = [picture(folder / f"{level}.png", level=level) for level in (255, 0, 254, 253)]
    result = invoke("--json", *files)
    assert result.exit_code == 1
    found = [json.loads(line)["id"] for line in result.stdout.splitlines()]
    assert found == [str(files[number]) for number in (0, 2, 3)]
    assert f"error: {files[1]}: num_detections is nan" in result.stderr


@pytest.mark.usefixtures("model")
def test_annotated_pictures_are_written_beside_nothing_of_the_users(folder: Path) -> None:
    files = [picture(folder / name / "frame.png", level=230) for name in ("a", "b")]
    before = files[0].read_bytes()
    result = invoke(*files, "--annotate", folder / "a")
    assert result.exit_code == 0
    assert files[0].read_bytes() == before
    assert sorted(path.name for path in (folder / "a").iterdir()) == [
        "frame-2.detections.jpg",
        "frame.detections.jpg",
        "frame.png",
    ]
    drawn = np.asarray(PillowImage.open(folder / "a" / "frame.detections.jpg"))
    assert drawn.shape == (100, 200, 3)
    assert np.abs(drawn[90, 180].astype(int) - 230).max() < 5  # far from the box
    assert np.abs(drawn[30, 40].astype(int) - 230).max() > 50  # its left edge


@pytest.mark.usefixtures("model")
def test_a_folder_that_cannot_be_written_to_is_wrong_usage(folder: Path) -> None:
    file = picture(folder / "a.png")
    result = invoke(file, "--annotate", file / "below")
    assert result.exit_code == 2
    assert "--annotate" in result.stderr
    assert "Not a directory" in result.stderr


@pytest.mark.usefixtures("model")
def test_an_engine_that_is_not_installed_is_refused(folder: Path) -> None:
    result = invoke(picture(folder / "a.png"), "--engine", "crystal_ball")
    assert isinstance(result.exception, ModelError)
    assert "Inference engine not found: crystal_ball" in str(result.exception)


@pytest.mark.usefixtures("model")
def test_a_model_that_is_not_there_is_refused(folder: Path) -> None:
    result = invoke(picture(folder / "a.png"), model="plates")
    assert isinstance(result.exception, ModelError)
    assert "Model not found: plates" in str(result.exception)


@pytest.mark.usefixtures("model")
def test_a_larger_picture_than_the_limit_is_not_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEBUS_CONSUMER__MAX_FRAME_PIXELS", "19999")
    result = invoke(picture(folder / "a.png"))
    assert result.exit_code == 1
    assert "the picture has 200x100 pixels, the limit is 19999" in result.stderr

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from framebus.cli import models
from framebus.errors import ModelError, SampleError


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "models"
    directory.mkdir()
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", str(directory))
    return directory


def add_model(directory: Path, name: str, engine: str = "no_such_engine") -> Path:
    folder = directory / name
    folder.mkdir()
    (folder / "frozen_inference_graph.pb").write_bytes(b"a graph")
    (folder / "object-detection.pbtxt").write_text(
        "".join(f"item {{ id: {i} name: 'c{i}' }}" for i in range(1, 6))
    )
    config = {"inference_engine_name": engine, "confidence": 60, "predictions": 15}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(models.app, arguments)


def test_list_shows_sound_and_broken_models(directory: Path) -> None:
    add_model(directory, "sound")
    (add_model(directory, "broken") / "config.json").unlink()
    result = invoke("list")
    assert result.exit_code == 0
    broken, sound = result.stdout.splitlines()
    assert broken.startswith("broken: cannot be used: Invalid model configuration: ")
    assert sound.startswith("sound: version ")
    assert "engine no_such_engine" in sound
    assert "confidence 60 % or more, at most 15 detections" in sound
    assert sound.endswith("labels: c1, c2, c3 and 2 more")


def test_list_as_json(directory: Path) -> None:
    add_model(directory, "sound")
    (add_model(directory, "broken") / "config.json").unlink()
    broken, sound = json.loads(invoke("list", "--json").stdout)
    assert broken["name"] == "broken"
    assert "config.json: missing" in broken["problem"]
    assert len(sound.pop("version")) == 12
    assert sound == {
        "name": "sound",
        "engine": "no_such_engine",
        "labels": {"1": "c1", "2": "c2", "3": "c3", "4": "c4", "5": "c5"},
        "confidence": 60,
        "predictions": 15,
        "problem": None,
    }


def test_list_of_an_empty_directory_says_how_to_get_a_model(directory: Path) -> None:
    assert (
        invoke("list").stdout
        == f"no models in {directory}; `framebus models fetch pedestrian` gets a sample\n"
    )


def test_check_reports_every_model_and_fails(directory: Path) -> None:
    add_model(directory, "engineless")
    (add_model(directory, "graphless") / "frozen_inference_graph.pb").unlink()
    result = invoke("check")
    assert result.exit_code == 1
    engineless, graphless = result.stdout.splitlines()
    assert engineless.startswith("engineless: Inference engine not found: no_such_engine")
    assert graphless.startswith("graphless: ")
    assert "frozen_inference_graph.pb: No such file or directory" in graphless


def test_check_of_named_models_only(directory: Path) -> None:
    add_model(directory, "sound")
    result = invoke("check", "unknown", "--json")
    assert result.exit_code == 1
    [report] = json.loads(result.stdout)
    assert report["name"] == "unknown"
    assert report["sound"] is False
    assert report["message"].startswith("Model not found: unknown; ")


def test_check_says_that_only_the_files_were_checked_where_tensorflow_is_missing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("consumer.engines.tensorflow_detection", "consumer.engines.frozen_graph"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    add_model(directory, "sound", engine="tensorflow_detection")
    result = invoke("check")
    assert result.exit_code == 0
    assert result.stdout.startswith("sound: its files are in order; its graph was not loaded, for ")
    assert "install" in result.stdout


@pytest.mark.usefixtures("directory")
def test_check_of_nothing_is_an_error() -> None:
    result = invoke("check")
    assert isinstance(result.exception, ModelError)
    assert "framebus models fetch pedestrian" in str(result.exception)


@pytest.mark.usefixtures("directory")
def test_fetch_of_an_unknown_sample_names_the_known() -> None:
    result = invoke("fetch", "yolo")
    assert isinstance(result.exception, SampleError)
    assert "no sample is called yolo; there are pedestrian, " in str(result.exception)

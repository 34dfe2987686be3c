import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consumer.engines.engine import EngineReport
from framebus.cli import models
from framebus.errors import ModelError, SampleError
from framebus.logs import get_logger
from tests.engines import ScriptedEngine
from tests.obedient_models import ENGINE, ObedientEngine, ObedientModels


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
        "precision": "f32",
        "labels": {"1": "c1", "2": "c2", "3": "c3", "4": "c4", "5": "c5"},
        "confidence": 60,
        "predictions": 15,
        "problem": None,
    }


def test_list_says_where_a_model_is_not_computed_in_full_precision(directory: Path) -> None:
    file = add_model(directory, "quick") / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "precision": "bf16"}))

    assert ", engine no_such_engine in bf16, confidence " in invoke("list").stdout
    [quick] = json.loads(invoke("list", "--json").stdout)
    assert quick["precision"] == "bf16"


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


CUT = EngineReport(
    "openvino_detection",
    parts={"resizing": "numpy", "network": "OpenVINO, from image to concat and concat_1"},
    deviations={"score": 3.2e-7, "box": 1.9e-6},
    ms_per_image={"tensorflow_detection": 13.14, "openvino_detection": 6.87},
)


@pytest.fixture
def obedient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObedientModels:
    """A models directory whose engines report what the test says."""
    obedient = ObedientModels(tmp_path)
    monkeypatch.syspath_prepend(obedient.packages)
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", str(obedient.directory))
    return obedient


def made(obedient: ObedientModels, report: EngineReport) -> list[ScriptedEngine]:
    """Adds a model whose engine reports this; returns its engines, as they are made."""
    obedient.add("ssd")
    obedient.make = lambda _: ObedientEngine(report=report)
    return obedient.made.setdefault("ssd", [])


def test_check_says_what_runs_a_model(obedient: ObedientModels) -> None:
    engines = made(obedient, CUT)

    result = invoke("check")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ssd: sound; its graph was loaded on CPU, by openvino_detection in f32",
        "    resizing: numpy",
        "    network: OpenVINO, from image to concat and concat_1",
        "    off the whole graph by at most: score 3e-07, box 2e-06 of the picture's side",
        "    ms per image: tensorflow_detection 13.1, openvino_detection 6.9",
    ]
    assert [engine.closed for engine in engines] == [1]


def test_check_says_it_as_json_too(obedient: ObedientModels) -> None:
    made(obedient, CUT)

    assert json.loads(invoke("check", "--json").stdout) == [
        {
            "name": "ssd",
            "sound": True,
            "message": None,
            "device": "CPU",
            "engine": "openvino_detection",
            "precision": "f32",
            "fallback": None,
            "parts": CUT.parts,
            "deviations": CUT.deviations,
            "ms_per_image": CUT.ms_per_image,
        }
    ]


def test_what_an_engine_logs_at_its_load_is_not_mixed_with_the_json(obedient: ObedientModels) -> None:
    obedient.add("ssd")
    log = get_logger("engines")
    obedient.make = lambda _: ObedientEngine(on_load=lambda: log.warning("the graph runs whole"))

    result = invoke("check", "--json")

    assert [report["name"] for report in json.loads(result.stdout)] == ["ssd"]
    assert "the graph runs whole" in result.stderr


def test_check_says_why_a_model_does_not_run_as_was_asked_and_takes_it_for_sound(
    obedient: ObedientModels,
) -> None:
    made(obedient, EngineReport("tensorflow_detection", fallback="the graph cannot be cut"))

    result = invoke("check", "ssd")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ssd: sound; its graph was loaded on CPU, by tensorflow_detection in f32",
        "    not all that was asked for: the graph cannot be cut",
    ]
    [report] = json.loads(invoke("check", "--json").stdout)
    assert report["fallback"] == "the graph cannot be cut"


def test_check_warns_of_a_model_in_bf16(obedient: ObedientModels) -> None:
    made(obedient, EngineReport("openvino_detection", "bf16"))

    first, warning = invoke("check").stdout.splitlines()

    assert first.endswith(", by openvino_detection in bf16")
    assert warning.startswith("    warning: it computes in bf16, ")
    [report] = json.loads(invoke("check", "--json").stdout)
    assert (report["precision"], report["sound"]) == ("bf16", True)
    assert "bf16" in report["message"]


def test_check_takes_the_engine_it_is_told(obedient: ObedientModels) -> None:
    engines = made(obedient, CUT)
    obedient.write_config("ssd", inference_engine_name="no_such_engine")

    assert invoke("check").exit_code == 1
    assert engines == []
    assert invoke("check", "--engine", ENGINE).exit_code == 0
    assert len(engines) == 1
    wrong = invoke("check", "--engine", "another", "--json")
    assert wrong.exit_code == 1
    [report] = json.loads(wrong.stdout)
    assert report["message"].startswith("Inference engine not found: another (model ssd); installed: ")
    assert (report["sound"], report["engine"], report["parts"]) == (False, None, {})


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

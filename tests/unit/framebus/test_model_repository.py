import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from framebus.detections import Thresholds
from framebus.errors import ModelError
from framebus.model_repository import ModelRepository

MakeModel = Callable[[str], Path]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "models"
    directory.mkdir()
    return directory


@pytest.fixture
def make_model(directory: Path) -> MakeModel:
    def make(name: str) -> Path:
        folder = directory / name
        folder.mkdir()
        (folder / "frozen_inference_graph.pb").write_bytes(b"a graph")
        (folder / "object-detection.pbtxt").write_text(
            "item { id: 1 name: 'person' } item { id: 3 name: 'car' }"
        )
        config = {"inference_engine_name": "tensorflow_detection", "confidence": 62.5, "predictions": 7}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make


def test_opens_a_model(directory: Path, make_model: MakeModel) -> None:
    folder = make_model("ssd")
    model = ModelRepository(directory).open("ssd")
    assert (model.name, model.folder, model.graph) == ("ssd", folder, folder / "frozen_inference_graph.pb")
    assert model.labels == {1: "person", 3: "car"}
    assert model.config.inference_engine_name == "tensorflow_detection"
    assert model.thresholds == Thresholds(confidence=62.5, predictions=7)


def test_version_is_12_hex_digits_and_the_same_every_time(directory: Path, make_model: MakeModel) -> None:
    make_model("a")
    make_model("b")
    first, second = (ModelRepository(directory).open(name).version for name in ("a", "b"))
    assert first == second
    assert len(first) == 12
    assert int(first, 16) >= 0


@pytest.mark.parametrize("changed", ["frozen_inference_graph.pb", "object-detection.pbtxt"])
def test_version_follows_graph_and_label_map(directory: Path, make_model: MakeModel, changed: str) -> None:
    file = make_model("ssd") / changed
    before = ModelRepository(directory).open("ssd").version
    file.write_bytes(file.read_bytes() + b"\n")
    assert ModelRepository(directory).open("ssd").version != before


def test_version_does_not_follow_the_config(directory: Path, make_model: MakeModel) -> None:
    config = make_model("ssd") / "config.json"
    before = ModelRepository(directory).open("ssd").version
    config.write_text(config.read_text().replace("62.5", "10"))
    after = ModelRepository(directory).open("ssd")
    assert after.thresholds.confidence == 10
    assert after.version == before


def test_version_tells_where_the_graph_ends_and_the_label_map_begins(
    directory: Path, make_model: MakeModel
) -> None:
    one, other = make_model("one"), make_model("other")
    labels = (one / "object-detection.pbtxt").read_bytes()
    (one / "frozen_inference_graph.pb").write_bytes(b"graph\n")
    (other / "frozen_inference_graph.pb").write_bytes(b"graph")
    (other / "object-detection.pbtxt").write_bytes(b"\n" + labels)
    assert ModelRepository(directory).open("one").version != ModelRepository(directory).open("other").version


def test_lists_folders_that_look_like_models_sound_or_not(directory: Path, make_model: MakeModel) -> None:
    make_model("b")
    (make_model("a") / "config.json").unlink()
    (directory / "only-config").mkdir()
    (directory / "only-config" / "Config.json").touch()
    (directory / "notes").mkdir()
    (directory / "README.md").touch()
    make_model("being fetched~x")
    assert ModelRepository(directory).names() == ["a", "b", "only-config"]


def test_follows_links_to_models(directory: Path, make_model: MakeModel, tmp_path: Path) -> None:
    make_model("ssd").rename(tmp_path / "elsewhere")
    (directory / "linked").symlink_to(tmp_path / "elsewhere")
    assert ModelRepository(directory).names() == ["linked"]
    assert ModelRepository(directory).open("linked").name == "linked"


@pytest.mark.parametrize("call", [ModelRepository.names, lambda repository: repository.open("ssd")])
def test_says_that_there_is_no_models_directory(
    tmp_path: Path, call: Callable[[ModelRepository], object]
) -> None:
    with pytest.raises(ModelError, match=r"no models directory .*nowhere; set FRAMEBUS_MODELS_DIR"):
        call(ModelRepository(tmp_path / "nowhere"))


def test_an_unknown_model_is_answered_with_those_there_are(directory: Path, make_model: MakeModel) -> None:
    make_model("ssd")
    make_model("faster")
    with pytest.raises(ModelError) as raised:
        ModelRepository(directory).open("yolo")
    message = str(raised.value)
    assert message.startswith(f"Model not found: yolo; {directory} has faster, ssd; ")
    assert "framebus models fetch pedestrian" in message


def test_an_unknown_model_where_there_are_none(directory: Path) -> None:
    with pytest.raises(
        ModelError, match=r"^Model not found: yolo; .*models has none; `framebus models fetch"
    ):
        ModelRepository(directory).open("yolo")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../secret", "a/b", "/etc", "a\\b", "a b", "a\n", "a\x00", "é", "~", "x" * 101, "%2e%2e"],
)
def test_names_that_could_lead_elsewhere_never_reach_the_file_system(tmp_path: Path, name: str) -> None:
    # The directory does not exist; an error about that would show that it was looked for.
    with pytest.raises(ModelError, match=r"^Model not found: .* is no model name; names are 1 to 100 of"):
        ModelRepository(tmp_path / "nowhere").open(name)


@pytest.mark.parametrize("name", ["a", "...", "..a", "SSD_v2.1-coco", "x" * 100])
def test_takes_names_of_the_allowed_letters(directory: Path, make_model: MakeModel, name: str) -> None:
    make_model(name)
    assert ModelRepository(directory).names() == [name]
    assert ModelRepository(directory).open(name).name == name


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12923854\n")


@pytest.mark.parametrize(
    ("file", "damage", "why", "remedy"),
    [
        (
            "frozen_inference_graph.pb",
            Path.unlink,
            "No such file or directory",
            "copy the frozen graph there",
        ),
        ("frozen_inference_graph.pb", replace_by_folder, "Is a directory", "copy the frozen graph there"),
        (
            "frozen_inference_graph.pb",
            lambda path: path.write_bytes(b""),
            "empty",
            "copy the frozen graph there",
        ),
        ("frozen_inference_graph.pb", replace_by_lfs_pointer, "a Git LFS pointer", "run `git lfs pull`"),
        ("object-detection.pbtxt", Path.unlink, "No such file or directory", "write an item per class"),
        ("object-detection.pbtxt", replace_by_folder, "Is a directory", "write an item per class"),
        (
            "object-detection.pbtxt",
            lambda path: path.write_bytes(b"item"),
            "line 1",
            "write an item per class",
        ),
        ("config.json", Path.unlink, "Invalid model configuration", "write e.g."),
        ("config.json", lambda path: path.write_bytes(b"{}"), "Invalid model configuration", "write e.g."),
    ],
)
def test_each_file_that_is_wrong_is_named_with_its_remedy(
    directory: Path, make_model: MakeModel, file: str, damage: Callable[[Path], object], why: str, remedy: str
) -> None:
    path = make_model("ssd") / file
    damage(path)
    with pytest.raises(ModelError) as raised:
        ModelRepository(directory).open("ssd")
    message = str(raised.value)
    assert str(path) in message
    assert why in message
    assert remedy in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_listed_and_named(directory: Path, make_model: MakeModel) -> None:
    folder = make_model("ssd")
    folder.chmod(0)
    try:
        assert ModelRepository(directory).names() == ["ssd"]
        with pytest.raises(ModelError, match="Permission denied"):
            ModelRepository(directory).open("ssd")
    finally:
        folder.chmod(0o700)

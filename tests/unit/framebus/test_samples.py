import hashlib
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from framebus.errors import ModelError, SampleError
from framebus.label_map import read_label_map
from framebus.model_config import read_model_config
from framebus.samples import Sample, SampleFile, fetch, find_samples, is_fetched, read_samples, video_path
from framebus.settings import Settings

GRAPH = b"a frozen graph" * 1000
MakeSample = Callable[..., Sample]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(models_dir=tmp_path / "models", cache_dir=tmp_path / "cache")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that the real pip finds without any network; temporary files go where a test can see them."""
    wheels, temporary = tmp_path / "wheels", tmp_path / "temporary"
    wheels.mkdir()
    temporary.mkdir()
    path = wheels / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_model/graph.pb", GRAPH)
        archive.writestr(
            "tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        archive.writestr(
            "tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return path


@pytest.fixture
def make_sample(wheel: Path) -> MakeSample:
    def make(**changes: object) -> Sample:
        graph = SampleFile(
            name="frozen_inference_graph.pb", member="tiny_model/graph.pb", sha256=sha256(GRAPH)
        )
        sample = Sample(
            name="tiny",
            kind="model",
            description="a tiny model",
            licence="MIT",
            client="pip",
            package="tiny-model==1.0",
            size_bytes=wheel.stat().st_size,
            sha256=sha256(wheel.read_bytes()),
            files=[graph],
            texts={"config.json": "{}\n"},
        )
        return Sample.model_validate(sample.model_dump() | changes)

    return make


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_fetches_a_model(make_sample: MakeSample, settings: Settings) -> None:
    sample = make_sample()
    assert not is_fetched(sample, settings)
    folder = fetch(sample, settings)
    assert folder == settings.models_dir / "tiny"
    assert (folder / "frozen_inference_graph.pb").read_bytes() == GRAPH
    assert (folder / "config.json").read_text() == "{}\n"
    files = ["tiny", "tiny/config.json", "tiny/frozen_inference_graph.pb"]
    assert everything_below(settings.models_dir) == files
    assert is_fetched(sample, settings)


def test_fetches_a_video_to_the_cache(make_sample: MakeSample, settings: Settings) -> None:
    video = {"name": "tiny.avi", "member": "tiny_model/graph.pb", "sha256": sha256(GRAPH)}
    path = fetch(make_sample(kind="video", files=[video], texts={}), settings)
    assert path.read_bytes() == GRAPH
    assert settings.cache_dir is not None
    assert everything_below(settings.cache_dir) == ["videos", "videos/tiny.avi"]


def test_tells_how_many_bytes_have_come(make_sample: MakeSample, settings: Settings) -> None:
    told: list[int] = []
    sample = make_sample()
    fetch(sample, settings, on_bytes=told.append)
    assert told[-1] == sample.size_bytes


def test_does_nothing_if_all_is_there(make_sample: MakeSample, settings: Settings, wheel: Path) -> None:
    sample = make_sample()
    fetch(sample, settings)
    wheel.unlink()
    assert fetch(sample, settings) == settings.models_dir / "tiny"


def test_keeps_what_the_user_wrote(make_sample: MakeSample, settings: Settings) -> None:
    sample = make_sample()
    folder = fetch(sample, settings)
    (folder / "config.json").write_text("edited")
    (folder / "notes.txt").write_text("mine")
    (folder / "frozen_inference_graph.pb").unlink()
    assert not is_fetched(sample, settings)
    fetch(sample, settings)
    assert (folder / "frozen_inference_graph.pb").read_bytes() == GRAPH
    assert (folder / "config.json").read_text() == "edited"
    assert (folder / "notes.txt").read_text() == "mine"


def test_force_replaces_the_samples_files_and_no_others(make_sample: MakeSample, settings: Settings) -> None:
    sample = make_sample()
    folder = fetch(sample, settings)
    (folder / "frozen_inference_graph.pb").write_text("another graph")
    (folder / "config.json").write_text("edited")
    (folder / "notes.txt").write_text("mine")
    fetch(sample, settings, force=True)
    assert (folder / "frozen_inference_graph.pb").read_bytes() == GRAPH
    assert (folder / "config.json").read_text() == "{}\n"
    assert (folder / "notes.txt").read_text() == "mine"


def test_refuses_to_overwrite_another_graph(make_sample: MakeSample, settings: Settings) -> None:
    sample = make_sample()
    graph = settings.models_dir / "tiny" / "frozen_inference_graph.pb"
    graph.parent.mkdir(parents=True)
    graph.write_text("another graph")
    for attempt in (fetch, is_fetched):
        with pytest.raises(
            SampleError, match=r"frozen_inference_graph\.pb: already there.*fetch tiny --force"
        ):
            attempt(sample, settings)
    assert graph.read_text() == "another graph"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"sha256": "0" * 64},
            r"tiny_model-1\.0-py3-none-any\.whl of tiny-model==1\.0 has the sha256 .*Try again",
        ),
        (
            {"files": [{"name": "g.pb", "member": "tiny_model/graph.pb", "sha256": "0" * 64}]},
            r"g\.pb of tiny-model==1\.0 has the sha256 .*Try again",
        ),
        (
            {"files": [{"name": "g.pb", "member": "tiny_model/gone.pb", "sha256": "0" * 64}]},
            r"tiny_model-1\.0-py3-none-any\.whl is not the wheel that was expected: .*gone\.pb",
        ),
        (
            {"package": "tiny-model==2.0"},
            r"pip cannot get tiny-model==2\.0: .*tiny-model==2\.0.*check the network",
        ),
    ],
)
def test_leaves_nothing_behind_when_it_fails(
    make_sample: MakeSample, settings: Settings, tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(SampleError, match=why):
        fetch(make_sample(**changes), settings)
    assert everything_below(settings.models_dir) == []
    assert everything_below(tmp_path / "temporary") == []


def test_leaves_nothing_behind_when_it_is_interrupted(
    make_sample: MakeSample, settings: Settings, tmp_path: Path
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(make_sample(), settings, on_bytes=interrupt)
    assert everything_below(settings.models_dir) == []
    assert everything_below(tmp_path / "temporary") == []


def test_says_that_the_place_cannot_be_written(make_sample: MakeSample, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(models_dir=tmp_path / "file" / "models")
    with pytest.raises(SampleError, match=r"cannot fetch tiny to .*set another FRAMEBUS_MODELS_DIR"):
        fetch(make_sample(), settings)


def test_says_what_the_machine_lacks(
    make_sample: MakeSample, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SampleError, match=r"cannot fetch tiny, .* apt package opencv-doc: there is no apt here"
    ):
        fetch(make_sample(client="apt", package="opencv-doc"), settings)


@pytest.fixture
def unfrozen(make_sample: MakeSample) -> Sample:
    """A sample whose frozen graph is built of a file in the package."""
    return make_sample(files=[], tfjs_graph=["tiny_model/graph.pb"])


def reversed_graph(tfjs_graph: Path, folder: Path) -> None:
    assert (folder / "config.json").exists()
    (folder / "frozen_inference_graph.pb").write_bytes((tfjs_graph / "graph.pb").read_bytes()[::-1])


def test_builds_a_graph(unfrozen: Sample, settings: Settings) -> None:
    folder = fetch(unfrozen, settings, build=reversed_graph)
    assert (folder / "frozen_inference_graph.pb").read_bytes() == GRAPH[::-1]
    assert everything_below(folder) == ["config.json", "frozen_inference_graph.pb"]
    assert is_fetched(unfrozen, settings)
    (folder / "frozen_inference_graph.pb").unlink()
    assert not is_fetched(unfrozen, settings)


def test_leaves_nothing_behind_when_the_graph_cannot_be_built(unfrozen: Sample, settings: Settings) -> None:
    def fail(tfjs_graph: Path, folder: Path) -> None:
        reversed_graph(tfjs_graph, folder)
        raise ModelError("it does not run")

    with pytest.raises(ModelError, match="it does not run"):
        fetch(unfrozen, settings, build=fail)
    assert everything_below(settings.models_dir) == []


def test_says_how_to_get_a_graph_that_has_to_be_built(unfrozen: Sample, settings: Settings) -> None:
    with pytest.raises(SampleError, match=r"graph of tiny has to be built; .*`framebus models fetch tiny`"):
        fetch(unfrozen, settings)


def test_says_that_a_graph_is_built_by_tensorflow(
    unfrozen: Sample, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(SampleError, match=r"cannot fetch tiny.*TensorFlow.*pip install 'framebus\[cpu\]'"):
        fetch(unfrozen, settings, build=reversed_graph)


def test_a_name_or_a_group_finds_samples() -> None:
    def names(name: str) -> list[str]:
        return [sample.name for sample in find_samples(name)]

    assert names("pedestrian") == ["pedestrian"]
    assert names("videos") == ["street", "plaza"]
    assert names("all") == ["pedestrian", "coco", "street", "plaza"]


def test_an_unknown_sample_is_answered_with_those_there_are() -> None:
    known = "pedestrian, coco, street, plaza, videos, all"
    with pytest.raises(SampleError, match=f"no sample is called yolo; there are {known}"):
        find_samples("yolo")


def test_finds_a_video_that_was_fetched(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        SampleError, match=r"street\.mp4: missing; get it with `framebus models fetch street`"
    ):
        video_path("street", settings)
    path = tmp_path / "cache" / "videos" / "street.mp4"
    path.parent.mkdir(parents=True)
    path.touch()
    assert video_path("street", settings) == path


def test_a_model_is_no_video(settings: Settings) -> None:
    with pytest.raises(SampleError, match="no sample video is called pedestrian; there are street, plaza"):
        video_path("pedestrian", settings)


@pytest.mark.parametrize("sample", [sample for sample in read_samples().values() if sample.kind == "model"])
def test_texts_of_the_manifest_are_a_label_map_and_a_config(sample: Sample, tmp_path: Path) -> None:
    for name, text in sample.texts.items():
        (tmp_path / name).write_text(text)
    labels = read_label_map(tmp_path / "object-detection.pbtxt")
    config = read_model_config(tmp_path)
    assert config.number_of_classes == len(labels)


def test_every_package_of_the_manifest_is_pinned_and_checked_where_its_version_stays() -> None:
    for sample in read_samples().values():
        assert sample.description
        assert sample.licence
        if sample.client != "apt":
            assert re.search(r"(==|@)\d", sample.package)
            assert sample.sha256 is not None

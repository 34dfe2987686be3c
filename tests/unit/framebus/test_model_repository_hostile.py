"""Models directories where somebody put what is no model."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from framebus.errors import ModelError
from framebus.model_repository import ModelRepository
from tests.mutation.privileges import without_privileges

FILES = ("frozen_inference_graph.pb", "object-detection.pbtxt", "config.json")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A models directory with a sound model."""
    folder = tmp_path / "models" / "ssd"
    folder.mkdir(parents=True)
    (folder / "frozen_inference_graph.pb").write_bytes(b"a graph")
    (folder / "object-detection.pbtxt").write_text("item { id: 1 name: 'person' }")
    (folder / "config.json").write_text(
        '{"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15}'
    )
    return folder.parent


def make_endless(path: Path) -> None:
    """A terabyte that takes no room on the disk."""
    path.touch()
    os.truncate(path, 2**40)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "Not a file, but a pipe or a device; "),
        (lambda path: path.symlink_to("/dev/null"), "Not a file, but a pipe or a device; "),
        (make_endless, "1099511627776 bytes, .* is the most; "),
        (lambda path: path.symlink_to("x" * 300), "File name too long; "),
    ],
    ids=["pipe", "device", "terabyte", "link to too long a name"],
)
def test_what_cannot_be_read_to_its_end_is_refused_by_name(
    directory: Path, file: str, make: Callable[[Path], object], says: str
) -> None:
    (directory / "ssd" / file).unlink()
    make(directory / "ssd" / file)

    with pytest.raises(ModelError, match=f"{file}: {says}"):
        ModelRepository(directory).open("ssd")


def test_a_link_that_leads_nowhere_does_not_hide_the_other_models(directory: Path) -> None:
    (directory / "broken").symlink_to("x" * 300)

    assert ModelRepository(directory).names() == ["broken", "ssd"]
    assert ModelRepository(directory).open("ssd").name == "ssd"
    with pytest.raises(ModelError, match="broken: File name too long; make the folder"):
        ModelRepository(directory).open("broken")


def test_a_directory_that_may_not_be_entered_is_named(directory: Path) -> None:
    directory.chmod(0o600)
    try:
        with without_privileges(), pytest.raises(ModelError, match="Permission denied; make"):
            ModelRepository(directory).open("ssd")
    finally:
        directory.chmod(0o700)


def test_a_directory_in_one_that_may_not_be_entered_is_named(directory: Path) -> None:
    directory.parent.chmod(0o600)
    try:
        with without_privileges(), pytest.raises(ModelError, match="models: Permission denied; make it"):
            ModelRepository(directory).names()
    finally:
        directory.parent.chmod(0o700)

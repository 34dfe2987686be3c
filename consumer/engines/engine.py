"""The protocol every detection engine fulfils, and how one is picked by name."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Protocol

from framebus.detections import Detections
from framebus.errors import ModelError
from framebus.frames import Image
from framebus.model_repository import StoredModel
from framebus.settings import Settings

ENTRY_POINTS = "framebus.engines"


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What runs a model, and why that one.

    Attributes:
        engine: Its name, e.g. `openvino_detection`; not `auto`, but the one that was picked.
        precision: What its convolutions are computed in: `f32` or `bf16`.
        fallback: Why it is not the one that config.json names, or not all that it might be; None if it is.
        parts: In words, which part of the graph runs on what, for an engine that runs it in parts.
        deviations: How far it was off the whole graph on the pictures it checked itself with: the largest
            difference in `score`, and in `box` as a share of the picture's side.
        ms_per_image: Of each engine that was tried, at its best batch size and number of calls at once.
    """

    engine: str
    precision: str = "f32"
    fallback: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)
    ms_per_image: Mapping[str, float] = field(default_factory=dict)


class DetectionEngine(Protocol):
    """Runs one model. The pipeline obeys what an engine says of itself.

    Constructed as `Engine(model, settings)`, which is cheap; `load` does the work.
    """

    @property
    def preferred_batch_size(self) -> int:
        """Pictures per call at which the engine is fastest."""
        ...

    @property
    def concurrency(self) -> int:
        """Most calls of `detect` at once, each from a thread of its own."""
        ...

    @property
    def device(self) -> str:
        """What the model runs on, e.g. `CPU` or `GPU:0`."""
        ...

    @property
    def report(self) -> EngineReport:
        """What runs the model; asked for once it is loaded."""
        ...

    def load(self) -> None:
        """Reads the model, checks it and makes it ready, warmed up.

        Raises:
            ModelError: Names the file, what is wrong and the remedy.
        """
        ...

    def batch_key(self, image: Image) -> Hashable:
        """Pictures with equal keys may share a call."""
        ...

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        """Finds the objects in each picture.

        Args:
            images: One or more pictures, uint8 (height, width, 3) RGB, with equal `batch_key`.
            least_score: Detections with a lower score are not asked for; they may be left out or not.

        Returns:
            One `Detections` per picture, in the same order.

        Raises:
            DetectionError: The call failed because of these pictures.
        """
        ...

    def close(self) -> None:
        """Frees the device. The engine is not used after."""
        ...


class EngineFactory(Protocol):
    """What an entry point of the group `framebus.engines` names."""

    def __call__(self, model: StoredModel, settings: Settings) -> DetectionEngine:
        """Makes an engine that is not loaded yet."""
        ...


def create_engine(model: StoredModel, settings: Settings, *, name: str | None = None) -> DetectionEngine:
    """Makes the engine that a model's config.json names, or the one named here; does not load it.

    Raises:
        ModelError: No installed engine has that name.
    """
    wanted = name or model.config.inference_engine_name
    engines = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if wanted not in engines:
        raise ModelError(
            f"Inference engine not found: {wanted} (model {model.name}); "
            f"installed: {', '.join(sorted(engines))}"
        )
    try:
        factory: EngineFactory = engines[wanted].load()
    except ImportError as error:
        raise ModelError(
            f"engine {wanted} cannot be imported: {error}; install framebus with its extra `cpu` or `gpu`: "
            "`pip install '.[cpu]'` in its checkout"
        ) from error
    return factory(model, settings)

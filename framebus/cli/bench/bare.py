"""What everything is compared with: `session.run` of TensorFlow, on the same graph and decoded frames."""

from pathlib import Path
from types import TracebackType
from typing import Self

from framebus.cli.bench.child import Child
from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.window import call_cost
from framebus.model_repository import StoredModel


class BareSession:
    """A TensorFlow session with default options, in a process of its own: its thread pools are per process.

    It has loaded when this has been entered; it waits while nobody asks.

    Args:
        model: Whose graph runs.
        video: Where the frames come from; they are the same as `read_footage` gives.
        cores: On how many cores it may run; None: all.
    """

    def __init__(self, model: StoredModel, video: Path, *, cores: int | None = None) -> None:
        self._child = Child(f"{__name__}:LoadedSession", model.graph, video, cores=cores)

    def __enter__(self) -> Self:
        """Starts the process, and loads.

        Raises:
            ModelError: The graph cannot be loaded.
            CameraError: The video cannot be read.
        """
        self._child.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, traceback)

    def measure(self, batch: int, seconds: float) -> dict[str, float]:
        """Runs batches of this many frames for so long, one call at a time.

        A graph that takes one picture a call gets each picture of a batch alone.

        Returns:
            ms_per_image, fps and cpu_ms_per_image.
        """
        figures: dict[str, float] = self._child.ask("measure", batch, seconds)
        return figures

    def frames_per_s(self, batch: int, seconds: float) -> float:
        """Frames per second at this batch size; see `measure`."""
        return self.measure(batch, seconds)["fps"]


class LoadedSession:
    """What that process has: the session, and the frames."""

    def __init__(self, graph: Path, video: Path) -> None:
        from consumer.engines import bare_session

        self._session = bare_session.BareSession(graph)
        self._images = [self._session.fitted(image) for image in read_footage(video).images]

    def measure(self, batch: int, seconds: float) -> dict[str, float]:
        """See `BareSession.measure`."""
        import numpy as np

        starts = range(0, len(self._images) - batch + 1, batch)
        batches = [np.stack(self._images[start : start + batch]) for start in starts]
        cost = call_cost(lambda number: self._session.run(batches[number % len(batches)]), seconds)
        return cost.per_image(batch)

"""The most that a pipeline could do: what its parts cost a frame, each measured alone.

limit = cores / (CPU seconds per frame of decoding + engine + broker + clients)

A pipeline that reaches it keeps every core busy, and spends nothing on holding its parts together. Broker and
clients are measured at the rate that the pipeline had, for their cost of a frame depends on it.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from framebus.cli.bench.child import Child
from framebus.cli.bench.engine import LoadedEngine
from framebus.cli.bench.report import tell
from framebus.settings import Settings

PARTS = ("decode_ms", "engine_ms", "broker_ms", "clients_ms")
"""CPU time per frame, in milliseconds."""


def limit_fps(parts_ms: Sequence[float], cores: int) -> float:
    """Frames per second of so many cores, if nothing but these parts took time."""
    return cores * 1000 / sum(parts_ms)


def decode_ms(jpegs: Sequence[bytes], seconds: float, settings: Settings) -> dict[str, float]:
    """Decodes for so long, on this thread, as workers do; returns decode_ms."""
    from framebus.images import decode

    max_pixels = settings.consumer.max_frame_pixels
    decode(jpegs[0], max_pixels)
    frames, end_s = 0, time.monotonic() + seconds
    cpu_s = time.thread_time()
    while time.monotonic() < end_s:
        decode(jpegs[frames % len(jpegs)], max_pixels)
        frames += 1
    return {"decode_ms": 1000 * (time.thread_time() - cpu_s) / frames}


class EngineAlone(LoadedEngine):
    """An engine on decoded frames, in a process of its own (`child.Child`)."""

    def at_its_best(self, seconds: float) -> dict[str, float]:
        """Calls it with as many pictures, and from as many threads, as it likes best; returns engine_ms."""
        batch, calls = self._engine.preferred_batch_size, self._engine.concurrency
        return {"engine_ms": self.measure(batch, calls, seconds)["cpu_ms_per_image"]}

    def one_image(self, seconds: float) -> dict[str, float]:
        """Calls it with one picture after the other; returns image_ms, by the clock."""
        return {"image_ms": self.measure(1, 1, seconds)["ms_per_image"]}


def load_engine(models_dir: Path, model: str, video: Path) -> Child:
    """The process of an `EngineAlone`, not yet started."""
    return Child(f"{__name__}:EngineAlone", models_dir, model, video)


def what_runs(engine: Child, model: str) -> dict[str, str | None]:
    """The columns engine, precision and fallback of a model's rows; a fallback is told of, too."""
    runs: dict[str, str | None] = engine.ask("what_runs")
    if runs["fallback"] is not None:
        tell(f"{model} runs on {runs['engine']}: {runs['fallback']}")
    return runs

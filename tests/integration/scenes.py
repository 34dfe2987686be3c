"""A producer on an in-memory bus that plays through what a test does to its cameras."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from framebus.bus import TopicSpec
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.frames import EncodedFrame
from framebus.settings import ProducerSettings, Settings
from framebus.wire import decode_frame
from producer.camera_spec import CameraSpec
from producer.metrics import ProducerMetrics
from producer.pipeline import Pipeline
from producer.tally import Summary

Script = Generator[None, None, None]


class Scene:
    """Runs cameras, and a script beside them.

    Attributes:
        lines: What the log said.
        stop_s: How long the producer took to stop at the end.

    Args:
        cameras: The cameras.
        timeout_s: Longest wait for what a script waits for.
        **producer: Settings of the producer.
    """

    def __init__(self, *cameras: CameraSpec, timeout_s: float = 30, **producer: float) -> None:
        self.lines: list[dict[str, Any]] = []
        self.stop_s = 0.0
        self._timeout_s = timeout_s
        self._bus = MemoryBus()
        self._bus.create_topics([TopicSpec("frames", 4, 1, {})])
        self._frames: dict[str, list[EncodedFrame]] = {camera.id: [] for camera in cameras}
        self._positions = dict.fromkeys(self._bus.partitions_of("frames"), 0)
        self._registry = CollectorRegistry()
        self._stop = threading.Event()
        self._stopped_at_s = 0.0
        self._script: Iterator[None] = iter(())
        self._pipeline = Pipeline(
            settings=Settings(producer=ProducerSettings.model_validate(producer)),
            cameras=cameras,
            producer=MemoryProducer(self._bus),
            metrics=ProducerMetrics(self._registry, 10),
            reread=self._go_on,
        )

    def play(self, script: Script) -> Summary:
        """Runs until the script ends, and then until the producer has stopped."""
        self._script = script
        with capture_logs() as lines:
            self.lines = lines  # type: ignore[assignment]
            summary = self._pipeline.run(self._stop)
        self.stop_s = time.monotonic() - self._stopped_at_s
        return summary

    def _go_on(self) -> None:
        """Stands in for a camera file that is read again: it is asked after each step."""
        try:
            next(self._script)
        except StopIteration:
            self._stopped_at_s = time.monotonic()
            self._stop.set()

    def until(self, happens: Callable[[], object], what: str) -> Script:
        """Waits, in a script, until something happens."""
        deadline_s = time.monotonic() + self._timeout_s
        while not happens():
            assert time.monotonic() < deadline_s, f"waited in vain for {what}; the log says {self.lines}"
            yield

    def more_frames(self, camera_id: str, count: int = 5) -> Script:
        """Waits, in a script, until a camera has given so many more frames."""
        enough = len(self.frames(camera_id)) + count
        yield from self.until(lambda: len(self.frames(camera_id)) >= enough, f"frames of {camera_id}")

    def frames(self, camera_id: str) -> list[EncodedFrame]:
        """The frames of a camera that were published so far."""
        for record in self._bus.read(self._positions, 10_000, 0):
            frame = decode_frame(record)
            self._frames[frame.camera_id].append(frame)
        return self._frames[camera_id]

    def events(self, camera_id: str) -> list[str]:
        """What the log said of a camera, without the beginning and the end."""
        events = [line["event"] for line in self.lines if line.get("camera") == camera_id]
        return [event for event in events if event not in ("camera started", "camera ended")]

    def value(self, metric: str, camera_id: str, **labels: str) -> float | None:
        """A metric of a camera as it is now."""
        return self._registry.get_sample_value(metric, {"camera": camera_id, **labels})

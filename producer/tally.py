"""What became of every frame: published or dropped, per camera; for the metrics, the log and the summary."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from framebus.frames import EncodedFrame
from framebus.logs import get_logger
from producer.metrics import ProducerMetrics

# A broker that is away costs many frames a second; the log says so once in a while.
_LOG_INTERVAL_S = 10.0

log = get_logger("producer")


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """What became of one camera's frames."""

    published: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of all frames of a run, per camera id."""

    cameras: Mapping[str, CameraSummary]

    @property
    def published(self) -> int:
        """Frames that the broker acknowledged."""
        return sum(camera.published for camera in self.cameras.values())

    @property
    def dropped(self) -> int:
        """Frames that were read and not acknowledged."""
        return sum(camera.dropped for camera in self.cameras.values())

    def as_json(self) -> dict[str, Any]:
        """The summary as `framebus produce --json` writes it."""
        return {
            "published": self.published,
            "dropped": self.dropped,
            "cameras": {
                camera_id: {"published": camera.published, "dropped": camera.dropped}
                for camera_id, camera in self.cameras.items()
            },
        }


class Tally:
    """Counts each frame once, when its fate is known. Any thread may call it.

    Args:
        camera_ids: All cameras, so that one without a frame is in the summary too.
        metrics: The producer's.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        camera_ids: Iterable[str],
        metrics: ProducerMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._published: Counter[str] = Counter(dict.fromkeys(camera_ids, 0))
        self._dropped: Counter[str] = Counter()
        self._unlogged: Counter[tuple[str, str]] = Counter()
        self._next_log_s: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def published(self, frame: EncodedFrame) -> None:
        """The broker has acknowledged the frame."""
        camera = self._metrics.camera(frame.camera_id)
        self._metrics.published_frames.labels(camera).inc()
        self._metrics.published_bytes.labels(camera).inc(len(frame.data))
        self._metrics.publish.observe(max((datetime.now(UTC) - frame.captured_at).total_seconds(), 0))
        with self._lock:
            self._published[frame.camera_id] += 1

    def dropped(self, frame: EncodedFrame, reason: str, error: str) -> None:
        """The frame will not be published, or nobody can tell whether it was.

        Args:
            frame: The frame.
            reason: Why, in one word; the metric's label.
            error: Why, for the log.
        """
        self._metrics.dropped.labels(self._metrics.camera(frame.camera_id), reason).inc()
        kind = frame.camera_id, reason
        with self._lock:
            self._dropped[frame.camera_id] += 1
            self._unlogged[kind] += 1
            now_s = self._clock()
            if now_s < self._next_log_s.get(kind, now_s):
                return
            self._next_log_s[kind] = now_s + _LOG_INTERVAL_S
            frames = self._unlogged.pop(kind)
        log.warning("frames dropped", camera=frame.camera_id, reason=reason, frames=frames, error=error)

    def log_drops(self) -> None:
        """Logs the drops since the log spoke of them last; called at the end."""
        with self._lock:
            unlogged = dict(self._unlogged)
            self._unlogged.clear()
        for (camera_id, reason), frames in unlogged.items():
            log.warning("frames dropped", camera=camera_id, reason=reason, frames=frames)

    def summary(self) -> Summary:
        """What became of the frames so far."""
        with self._lock:
            return Summary(
                {
                    camera_id: CameraSummary(published, self._dropped[camera_id])
                    for camera_id, published in self._published.items()
                }
            )

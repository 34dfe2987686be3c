"""What became of every picture: published, dropped or skipped; for the metrics, the log and the summary."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from framebus.frames import EncodedFrame
from framebus.logs import get_logger
from producer.metrics import ProducerMetrics

# A broker that is away costs many frames a second; the log says so once in a while.
_LOG_INTERVAL_S = 60.0

_Kind = tuple[str, str, str]
"""What the log says of a loss: the event, the camera and the reason."""

log = get_logger("producer")


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """What became of one camera's pictures; a skipped one was never a frame.

    Attributes:
        published: Frames that the broker acknowledged.
        dropped: Frames that it did not.
        skipped: Pictures that became no frame.
        failure: Why the camera ended before its time; None: it did not.
    """

    published: int
    dropped: int
    skipped: int
    failure: str | None = None


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

    @property
    def skipped(self) -> int:
        """Pictures that became no frame: left out on purpose, or no pictures."""
        return sum(camera.skipped for camera in self.cameras.values())

    @property
    def failures(self) -> dict[str, str]:
        """Why cameras ended before their time, by id."""
        return {
            camera_id: camera.failure
            for camera_id, camera in self.cameras.items()
            if camera.failure is not None
        }

    def as_json(self) -> dict[str, Any]:
        """The summary as `framebus produce --json` writes it."""
        return {
            "published": self.published,
            "dropped": self.dropped,
            "skipped": self.skipped,
            "cameras": {camera_id: asdict(camera) for camera_id, camera in self.cameras.items()},
        }


class Tally:
    """Counts each picture and each frame once, when its fate is known. Any thread may call it.

    Args:
        metrics: The producer's.
        clock: Monotonic seconds.
    """

    def __init__(self, metrics: ProducerMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._cameras: dict[str, None] = {}
        self._published: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._unlogged: Counter[_Kind] = Counter()
        self._next_log_s: dict[_Kind, float] = {}
        self._lock = threading.Lock()

    def expect(self, camera_ids: Iterable[str]) -> None:
        """Puts cameras into the summary, whether they will give frames or not."""
        with self._lock:
            self._cameras.update(dict.fromkeys(camera_ids))

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
        with self._lock:
            self._dropped[frame.camera_id] += 1
        self._log_now_and_then(("frames dropped", frame.camera_id, reason), error)

    def skipped(self, camera_id: str, reason: str, error: str | None = None) -> None:
        """A camera's picture becomes no frame.

        Args:
            camera_id: The camera.
            reason: Why, in one word; the metric's label.
            error: What is wrong with the picture, for the log; None: nothing, it was left out on purpose.
        """
        self._metrics.skipped.labels(self._metrics.camera(camera_id), reason).inc()
        with self._lock:
            self._skipped[camera_id] += 1
        if error is not None:
            self._log_now_and_then(("pictures skipped", camera_id, reason), error)

    def _log_now_and_then(self, kind: _Kind, error: str) -> None:
        with self._lock:
            self._unlogged[kind] += 1
            now_s = self._clock()
            if now_s < self._next_log_s.get(kind, now_s):
                return
            self._next_log_s[kind] = now_s + _LOG_INTERVAL_S
            count = self._unlogged.pop(kind)
        event, camera_id, reason = kind
        log.warning(event, camera=camera_id, reason=reason, count=count, error=error)

    def log_losses(self) -> None:
        """Logs the losses since the log spoke of them last; called at the end."""
        with self._lock:
            unlogged = dict(self._unlogged)
            self._unlogged.clear()
        for (event, camera_id, reason), count in unlogged.items():
            log.warning(event, camera=camera_id, reason=reason, count=count)

    def summary(self, failures: Mapping[str, str]) -> Summary:
        """What became of the frames so far.

        Args:
            failures: Why cameras ended before their time, by id.
        """
        with self._lock:
            return Summary(
                {
                    camera_id: CameraSummary(
                        self._published[camera_id],
                        self._dropped[camera_id],
                        self._skipped[camera_id],
                        failures.get(camera_id),
                    )
                    for camera_id in self._cameras
                }
            )

"""Which cameras a worker hears of, and how often."""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from framebus.control import CameraStatus

_WINDOW_S = 10.0
_SHORTEST_S = 1.0
_MOST_CAMERAS = 300


class _Counts:
    """What became of the frames of one camera: totals, and what they were at times within the window."""

    def __init__(self, now_s: float) -> None:
        self.frames = self.dropped = 0
        self.age_s = 0.0
        self.last_frame_at = datetime.now(UTC)
        self.earlier: deque[tuple[float, int, int, float]] = deque([(now_s, 0, 0, 0.0)])


class CameraRates:
    """Counts the frames of each camera and model; any thread may count.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Counts] = {}

    def answered(self, camera: str, model: str, age_s: float) -> None:
        """A frame has its detections, so long after it was captured."""
        with self._lock:
            counts = self._of(camera, model)
            counts.frames += 1
            counts.age_s += age_s

    def dropped(self, camera: str, model: str) -> None:
        """A frame was left out."""
        with self._lock:
            self._of(camera, model).dropped += 1

    def _of(self, camera: str, model: str) -> _Counts:
        key = (camera, model)
        if key not in self._counts:
            self._counts[key] = _Counts(self._clock())
        counts = self._counts[key]
        counts.last_frame_at = datetime.now(UTC)
        return counts

    def statuses(self) -> tuple[CameraStatus, ...]:
        """The cameras of the last seconds with their rates; of very many, those with most frames."""
        now_s = self._clock()
        found = []
        with self._lock:
            for (camera, model), counts in list(self._counts.items()):
                counts.earlier.append((now_s, counts.frames, counts.dropped, counts.age_s))
                while len(counts.earlier) > 2 and counts.earlier[1][0] <= now_s - _WINDOW_S:
                    counts.earlier.popleft()
                since_s, frames, dropped, age_s = counts.earlier[0]
                new, left_out = counts.frames - frames, counts.dropped - dropped
                if not new and not left_out and now_s - since_s >= _WINDOW_S:
                    del self._counts[camera, model]
                    continue
                span_s = max(now_s - since_s, _SHORTEST_S)
                found.append(
                    CameraStatus(
                        camera=camera,
                        model=model,
                        frames_per_s=round(new / span_s, 2),
                        dropped_per_s=round(left_out / span_s, 2),
                        latency_ms=round((counts.age_s - age_s) / new * 1000, 1) if new else None,
                        last_frame_at=counts.last_frame_at,
                    )
                )
        found.sort(key=lambda status: -status.frames_per_s)
        return tuple(found[:_MOST_CAMERAS])

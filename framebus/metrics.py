"""What the programs' metrics have in common; each program declares its own beside its code."""

import threading

from prometheus_client import disable_created_metrics

# When each series began; of no use to dashboards, and as many lines again.
disable_created_metrics()  # type: ignore[no-untyped-call]

LATENCY_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class CameraLabels:
    """Caps the values of the label `camera`, so that camera ids cannot flood Prometheus.

    The first `limit` cameras seen keep their names; every later one is `other`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, camera_id: str) -> str:
        """Returns the label for a camera."""
        with self._lock:
            if camera_id in self._known:
                return camera_id
            if len(self._known) < self._limit:
                self._known.add(camera_id)
                return camera_id
            return "other"

"""What the demo shows: a live table, and pictures with boxes on disk."""

import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from framebus import images, wire
from framebus.cli.demo.ledger import Annotation, Ledger

_PICTURE_INTERVAL_S = 1.0
_KEPT_PICTURES = 100
_MAX_PIXELS = 50_000_000


def table(ledger: Ledger, title: str) -> Table:
    """The cameras as of now."""
    now = datetime.now(UTC)
    table = Table(title=title, title_justify="left")
    for column in ("camera", "published", "frames/s", "detections", "lag", "latency p50", "p95"):
        table.add_column(column, justify="left" if column == "camera" else "right")
    for camera_id, camera in sorted(ledger.cameras.items()):
        latency_ms = camera.latency_ms()
        table.add_row(
            camera_id,
            str(camera.published),
            f"{camera.frames_per_s(now):.1f}",
            str(camera.detections),
            str(camera.lag),
            *("-" if latency_ms is None else f"{value:.0f} ms" for value in latency_ms or ("-", "-")),
        )
    return table


class PictureWriter:
    """Writes one annotated picture per camera and second, and keeps the newest hundred of each camera."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next_s: dict[str, float] = {}
        self._written: dict[str, deque[Path]] = {}

    def write(self, annotation: Annotation) -> None:
        """Draws the boxes and writes the picture, if the camera's last one is a second old."""
        camera_id, now_s = annotation.camera_id, time.monotonic()
        if now_s < self._next_s.get(camera_id, 0):
            return
        self._next_s[camera_id] = now_s + _PICTURE_INTERVAL_S
        detections, labels = wire.detections_from_json(annotation.message)
        picture = images.draw(images.decode(annotation.picture, _MAX_PIXELS), detections, labels)
        written = self._written.setdefault(camera_id, deque())
        source = annotation.message["source"]
        path = self._directory / f"{camera_id}-{source['partition']}-{source['offset']:06}.jpg"
        path.write_bytes(images.encode_jpeg(picture))
        written.append(path)
        if len(written) > _KEPT_PICTURES:
            written.popleft().unlink(missing_ok=True)

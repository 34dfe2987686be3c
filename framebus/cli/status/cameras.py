"""Cameras as an onlooker sees them: their frames, detections and dead letters of a few seconds."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from framebus import wire
from framebus.bus import Record
from framebus.errors import FrameError
from framebus.routes import Routes
from framebus.topics import detections_topic


@dataclass
class ModelSeen:
    """What one model made of a camera's frames."""

    detections: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def latency_ms(self, share: float) -> float | None:
        """From capture to this reader: the latency that a share (0..1) of the messages had at most."""
        if not self.latencies_ms:
            return None
        rank = math.ceil(share * len(self.latencies_ms))
        return sorted(self.latencies_ms)[max(rank, 1) - 1]


@dataclass
class CameraSeen:
    """One camera.

    Attributes:
        frames: Its frames that came.
        frame_bytes: Their size, encoded.
        captured_at: When its newest frame was captured, of all that is known of it.
        models: What its models published, by their names.
        dead_letters: Of its frames, by reason.
    """

    frames: int = 0
    frame_bytes: int = 0
    captured_at: datetime | None = None
    models: dict[str, ModelSeen] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)

    def captured(self, at: datetime) -> None:
        """Takes note of a frame's capture time."""
        self.captured_at = max(self.captured_at or at, at)


class CamerasSeen:
    """Counts what comes on the topics, by camera.

    Args:
        routes: Tell which models a camera's frames are for.
        dead_topic: Where dead letters come from.
    """

    def __init__(self, routes: Routes, dead_topic: str) -> None:
        self._routes = routes
        self._dead_topic = dead_topic
        self._models = {detections_topic(model): model for model in routes.models}
        self.cameras: dict[str, CameraSeen] = {}
        """By camera id."""

    def remember(self, detections: Iterable[Record]) -> None:
        """Takes earlier detections, for the cameras they are of; they count in no rate."""
        for record in detections:
            if (captured_at := _captured_at(record)) is not None:
                camera = self._camera(_camera_id(record))
                camera.captured(captured_at)
                camera.models.setdefault(self._models[record.partition.topic], ModelSeen())

    def add(self, record: Record, now: datetime) -> None:
        """Takes a record that came now: a frame, its detections or a dead letter."""
        topic = record.partition.topic
        if topic == self._dead_topic:
            self._camera(_camera_id(record)).dead_letters[_header(record, "fb_error") or "unknown"] += 1
        elif topic in self._models:
            if (captured_at := _captured_at(record)) is not None:
                model = self._camera(_camera_id(record)).models.setdefault(self._models[topic], ModelSeen())
                model.detections += 1
                # A camera clock ahead of ours gives 0, as everywhere.
                model.latencies_ms.append(max((now - captured_at).total_seconds() * 1000, 0))
        else:
            self._add_frame(record)

    def _add_frame(self, record: Record) -> None:
        camera = self._camera(_camera_id(record))
        camera.frames += 1
        camera.frame_bytes += len(record.value)
        with suppress(FrameError):  # the consumer's affair: a dead letter follows
            camera.captured(wire.decode_frame(record).captured_at)
        route = self._routes.match(record.partition.topic)
        wanted = wire.wanted_model(record)
        for model in route.models if route is not None else ():
            if wanted in (None, model):
                camera.models.setdefault(model, ModelSeen())

    def _camera(self, camera_id: str) -> CameraSeen:
        return self.cameras.setdefault(camera_id, CameraSeen())

    def as_json(self, seconds: float, now: datetime) -> list[dict[str, Any]]:
        """For scripts; docs/operating.md describes it."""
        return [
            {
                "camera": camera_id,
                "frames_per_s": round(camera.frames / seconds, 2),
                "bytes_per_s": round(camera.frame_bytes / seconds),
                "last_frame_s": _age_s(camera.captured_at, now),
                "models": _models_as_json(camera.models, seconds),
                "dead_letters": dict(camera.dead_letters),
            }
            for camera_id, camera in sorted(self.cameras.items())
        ]


def _models_as_json(models: Mapping[str, ModelSeen], seconds: float) -> list[dict[str, Any]]:
    return [
        {
            "model": name,
            "detections_per_s": round(seen.detections / seconds, 2),
            "latency_p50_ms": _rounded(seen.latency_ms(0.5)),
            "latency_p95_ms": _rounded(seen.latency_ms(0.95)),
        }
        for name, seen in sorted(models.items())
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _age_s(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else round(max((now - at).total_seconds(), 0), 3)


def _camera_id(record: Record) -> str:
    """As the consumer names it; of what is wrong with a key, a dead letter tells."""
    if record.key:
        return record.key.decode(errors="replace")
    topic = _header(record, "fb_topic") or record.partition.topic
    number = _header(record, "fb_partition") or record.partition.number
    return f"{topic}/{number}"


def _captured_at(record: Record) -> datetime | None:
    """When the frame that detections belong to was captured; None if the record is none of framebus's."""
    if _header(record, "ce_type") != wire.DETECTIONS_TYPE:
        return None
    return datetime.fromisoformat(_header(record, "ce_time"))


def _header(record: Record, name: str) -> str:
    return (dict(record.headers).get(name) or b"").decode(errors="replace")

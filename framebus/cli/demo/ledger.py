"""What a reader of the topics sees: every frame, and what became of it."""

import statistics
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from framebus import wire
from framebus.bus import Record
from framebus.errors import FrameError
from framebus.settings import TopicSettings
from framebus.topics import detections_topic

# Answers kept for frames that were not read yet.
_KEPT_ANSWERS = 10_000
# Pictures kept so that boxes can be drawn on the very frame that they belong to.
_KEPT_PICTURES = 256
_RATE_WINDOW_S = 5.0

Position = tuple[str, int, int]


@dataclass
class CameraSeen:
    """One camera as seen on the topics."""

    published: int = 0
    answered: int = 0
    detections: int = 0
    answer_times: deque[float] = field(default_factory=lambda: deque(maxlen=2_000))
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    @property
    def lag(self) -> int:
        """Frames published and not answered yet."""
        return max(self.published - self.answered, 0)

    def frames_per_s(self, now: datetime) -> float:
        """Answers per second over the last few seconds."""
        since = now.timestamp() - _RATE_WINDOW_S
        return sum(at >= since for at in self.answer_times) / _RATE_WINDOW_S

    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 95th percentile from capture to the subscriber, in milliseconds."""
        if len(self.latencies_ms) < 2:
            return None
        cuts = statistics.quantiles(self.latencies_ms, n=20)
        return cuts[9], cuts[18]


@dataclass(frozen=True, slots=True)
class _Answer:
    """A dead letter, or how many objects were detected and how long after capture that was known."""

    is_dead: bool
    objects: int = 0
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Annotation:
    """A picture and the message about it."""

    camera_id: str
    picture: bytes
    message: dict[str, Any]


class Ledger:
    """Matches frames with detections and dead letters by their position on the bus.

    Args:
        topics: The topics' names.
        model_name: The model whose detections count.
        since: Frames captured earlier are somebody else's.
    """

    def __init__(self, topics: TopicSettings, model_name: str, since: datetime) -> None:
        self._topics = topics
        self._detections_topic = detections_topic(model_name)
        self._since = since.replace(microsecond=0)
        self.cameras: dict[str, CameraSeen] = {}
        self.published_bytes = 0
        self.processed = self.dead = 0
        self._open: dict[Position, str] = {}
        # Frames and answers are on different topics, so that an answer may be read before its frame.
        self._early: OrderedDict[Position, _Answer] = OrderedDict()
        self._pictures: OrderedDict[Position, bytes] = OrderedDict()

    @property
    def topics(self) -> Sequence[str]:
        """What must be read for the ledger."""
        return (self._topics.frames, self._detections_topic, self._topics.dead)

    @property
    def published(self) -> int:
        """Frames seen."""
        return sum(camera.published for camera in self.cameras.values())

    @property
    def detections(self) -> int:
        """Objects detected."""
        return sum(camera.detections for camera in self.cameras.values())

    @property
    def unanswered(self) -> int:
        """Frames seen whose detections or dead letter was not."""
        return len(self._open)

    def add(self, record: Record) -> Annotation | None:
        """Takes a record of any of the topics; returns a picture and its detections when both are there."""
        if record.partition.topic == self._topics.frames:
            self._add_frame(record)
        elif record.partition.topic == self._topics.dead:
            headers = {name: (value or b"").decode() for name, value in record.headers}
            position = (headers["fb_topic"], int(headers["fb_partition"]), int(headers["fb_offset"]))
            self._answer(position, _Answer(is_dead=True))
        else:
            return self._add_detections(orjson.loads(record.value))
        return None

    def _add_frame(self, record: Record) -> None:
        try:
            frame = wire.decode_frame(record)
        except FrameError:  # none of our cameras; what becomes of it is the consumer's affair
            return
        if frame.captured_at < self._since:
            return
        position = (record.partition.topic, record.partition.number, record.offset)
        self.cameras.setdefault(frame.camera_id, CameraSeen()).published += 1
        self.published_bytes += len(record.value)
        self._open[position] = frame.camera_id
        self._pictures[position] = record.value
        if len(self._pictures) > _KEPT_PICTURES:
            self._pictures.popitem(last=False)
        early = self._early.pop(position, None)
        if early is not None:
            self._answer(position, early)

    def _add_detections(self, message: dict[str, Any]) -> Annotation | None:
        age = datetime.now(UTC) - datetime.fromisoformat(message["timestamp"])
        source = message["source"]
        position = (source["topic"], source["partition"], source["offset"])
        self._answer(
            position,
            _Answer(is_dead=False, objects=len(message["objects"]), latency_ms=age.total_seconds() * 1000),
        )
        picture = self._pictures.pop(position, None)
        return None if picture is None else Annotation(message["sensorId"], picture, message)

    def _answer(self, position: Position, answer: _Answer) -> None:
        camera_id = self._open.pop(position, None)
        if camera_id is None:
            self._early[position] = answer
            if len(self._early) > _KEPT_ANSWERS:
                self._early.popitem(last=False)
            return
        camera = self.cameras[camera_id]
        camera.answered += 1
        camera.answer_times.append(datetime.now(UTC).timestamp())
        if answer.is_dead:
            self.dead += 1
        else:
            self.processed += 1
            camera.detections += answer.objects
            camera.latencies_ms.append(answer.latency_ms)

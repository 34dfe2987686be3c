"""`framebus dead replay`: dead frames published once more, for the model that failed."""

import json
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import typer

from framebus.bus import Delivery, OutgoingRecord
from framebus.bus.kafka import KafkaProducer
from framebus.cli.dead.listing import by_model_and_reason, shortened
from framebus.cli.dead.selection import Selection
from framebus.cli.dead.topic import DeadTopic
from framebus.cli.places import Place
from framebus.cli.progress import progress_bar
from framebus.dead_letters import DeadLetter, encode_replay
from framebus.errors import DeadLetterError, FramebusError, FrameTooLargeError, TransportError
from framebus.settings import Settings
from framebus.topics import is_for_frames
from framebus.wire import format_time

_POLL_TIMEOUT_S = 0.2
# What a broker has not taken by then, it will not take: the user is told.
_DELIVERY_TIMEOUT_MS = 30_000


class PlannedFrame(NamedTuple):
    """A dead frame in the order in which it is replayed: that of its topic, so that of its camera."""

    topic: str
    partition: int
    offset: int
    model: str
    place: Place
    reason: str
    died_at: datetime | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be replayed.

    Attributes:
        frames: In order; a frame that died twice at one place, as a crash makes it, is there once.
        asked: How many frames were asked for.
    """

    frames: list[PlannedFrame]
    asked: int

    @classmethod
    def of_selection(cls, topic: DeadTopic, selection: Selection) -> "Plan":
        """Plans the dead letters that are selected.

        Raises:
            TransportError: The bus failed.
        """
        found = topic.newest(
            lambda letter: _planned(letter) if selection.includes(letter) else None,
            since_ms=selection.since_ms,
        )
        frames = _in_order(found)
        return cls(frames, len(frames))

    @classmethod
    def of_places(cls, topic: DeadTopic, places: Iterable[Place]) -> "Plan":
        """Plans the dead letters at these places; says so where there is none.

        Raises:
            TransportError: The bus failed.
        """
        found, lacking = [], 0
        for place in sorted(set(places)):
            try:
                found.append(_planned(topic.find(place)))
            except DeadLetterError as error:
                typer.echo(str(error), err=True)
                lacking += 1
        frames = _in_order(found)
        return cls(frames, len(frames) + lacking)

    @property
    def later(self) -> datetime | None:
        """A `--since` that selects only what died after these frames."""
        died_at = [one.died_at for one in self.frames if one.died_at is not None]
        return max(died_at) + timedelta(milliseconds=1) if died_at else None

    def __str__(self) -> str:
        if not self.frames:
            return "no such dead letters"
        topics = ", ".join(sorted({one.topic for one in self.frames}))
        models = by_model_and_reason((one.model, one.reason) for one in self.frames)
        return f"to publish on {topics}: {models}"


class Replay:
    """Publishes dead frames once more, in order, and tells of each where it stands now.

    Args:
        settings: Where the brokers are, and what may be published.
        topic: The dead letters.
        as_json: Tell it in JSON, one object a frame.
    """

    def __init__(self, settings: Settings, topic: DeadTopic, *, as_json: bool = False) -> None:
        self._settings = settings
        self._topic = topic
        self._as_json = as_json
        self._published = 0
        self._failure: TransportError | None = None

    def rehearse(self, plan: Plan) -> bool:
        """Tells what would be published, and what could not; returns whether all could."""
        ready = 0
        for planned in plan.frames:
            record = self._record(planned)
            if record is not None:
                self._tell(planned, record, None)
                ready += 1
        return ready == plan.asked

    def publish(self, plan: Plan, stop: threading.Event) -> bool:
        """Publishes until all is acknowledged or refused; returns whether all was published.

        Raises:
            TransportError: The bus failed; how many were published was told.
        """
        options = {
            "message.max.bytes": str(self._settings.topics.max_message_bytes),
            "message.timeout.ms": str(_DELIVERY_TIMEOUT_MS),
            # A broker that refuses one frame refuses all of its batch.
            "batch.num.messages": "1",
        }
        try:
            with (
                closing(KafkaProducer(self._settings.kafka, **options)) as producer,
                progress_bar("publishing", len(plan.frames), beside_output=True) as on_progress,
            ):
                for number, planned in enumerate(plan.frames, 1):
                    if stop.is_set() or self._failure is not None:
                        break
                    if (record := self._record(planned)) is not None:
                        self._hand_over(producer, planned, record)
                    producer.poll(0)
                    on_progress(number, f"{self._published:,} acknowledged")
                while len(producer):
                    producer.poll(_POLL_TIMEOUT_S)
        finally:
            typer.echo(f"{self._published} of {plan.asked} frames published", err=True)
            if self._published == plan.asked and plan.later is not None:
                since = format_time(plan.later)
                typer.echo(f"their dead letters stay; --since {since} selects what died after them", err=True)
        if self._failure is not None:
            raise self._failure
        return self._published == plan.asked

    def _record(self, planned: PlannedFrame) -> OutgoingRecord | None:
        """The record to publish; None if there can be none, which is said."""
        try:
            if planned.topic not in self._topic.partition_counts:
                raise DeadLetterError(f"its topic {planned.topic} does not exist any more")
            if not is_for_frames(planned.topic, self._settings.topics):
                raise DeadLetterError(f"{planned.topic} is no topic of frames")
            return encode_replay(self._topic.restored(self._topic.find(planned.place)))
        except DeadLetterError as error:
            self._refuse(planned, error)
            return None

    def _hand_over(self, producer: KafkaProducer, planned: PlannedFrame, record: OutgoingRecord) -> None:
        def delivered(delivery: Delivery) -> None:
            if delivery.partition is not None:
                self._published += 1
                self._tell(planned, record, delivery)
            elif delivery.is_too_large:
                self._refuse(planned, FrameTooLargeError(f"topic {record.topic} takes no record as large"))
            else:
                self._failure = TransportError(
                    f"{planned.place} was not published on {record.topic}: {delivery.error}"
                )

        try:
            while not producer.publish(record, delivered):
                producer.poll(_POLL_TIMEOUT_S)
        except FrameTooLargeError as error:
            self._refuse(planned, error)

    def _tell(self, planned: PlannedFrame, record: OutgoingRecord, delivery: Delivery | None) -> None:
        """Tells where a frame stands now; or, before anything was published, where it would go."""
        where = None if delivery is None else delivery.partition
        if self._as_json:
            report = {
                "place": str(planned.place),
                "topic": record.topic,
                "partition": None if where is None else where.number,
                "offset": None if delivery is None else delivery.offset,
                **_identity(record),
                "error": None,
            }
            typer.echo(json.dumps(report))
        elif where is None or delivery is None:
            typer.echo(f"{planned.place} would go to {record.topic}: {_in_words(record)}")
        else:
            typer.echo(
                f"{planned.place} is {record.topic}/{where.number}/{delivery.offset} now: {_in_words(record)}"
            )

    def _refuse(self, planned: PlannedFrame, error: FramebusError) -> None:
        typer.echo(f"{planned.place} cannot be published: {error}", err=True)
        if self._as_json:
            report = {"place": str(planned.place), "topic": planned.topic, "error": str(error)}
            typer.echo(json.dumps(report))


def _planned(letter: DeadLetter) -> PlannedFrame:
    return PlannedFrame(
        letter.source.topic,
        letter.source.partition,
        letter.source.offset,
        letter.model,
        Place.of(letter.place),
        letter.reason,
        letter.died_at,
    )


def _in_order(found: Iterable[PlannedFrame]) -> list[PlannedFrame]:
    once = {(one.topic, one.partition, one.offset, one.model): one for one in sorted(found)}
    return list(once.values())


def _in_words(record: OutgoingRecord) -> str:
    of = _identity(record)
    camera, frame, model = (shortened(str(of[name])) for name in ("camera", "frame", "model"))
    return f"camera {camera}, frame {frame}, model {model}, {of['bytes']:,} bytes"


def _identity(record: OutgoingRecord) -> dict[str, Any]:
    headers = dict(record.headers)
    named = {"camera": record.key, "frame": headers["ce_id"], "model": headers["ce_model"]}
    said = {name: (text or b"").decode(errors="replace") for name, text in named.items()}
    return {**said, "bytes": len(record.value or b"")}

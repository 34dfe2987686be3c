"""`framebus tail`: detections as they come."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from framebus.bus import Record
from framebus.bus.kafka import KafkaReader
from framebus.cli.completion import model_names
from framebus.cli.printable import printable
from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.logs import configure_logs
from framebus.routes import given_routes, load_routes
from framebus.settings import Settings
from framebus.topics import detections_topic

if TYPE_CHECKING:
    from framebus.cli.annotated_frames import AnnotatedFrames

_POLL_RECORDS = 100
_POLL_TIMEOUT_S = 0.2
_TIME_WIDTH = len("2026-01-31T12:00:00.250Z")
_LATENCY_WIDTH = len("99999 ms")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which detections are shown; empty means any. Classes are in lower case."""

    cameras: Sequence[str]
    classes: Sequence[str]
    min_confidence: float

    def filter(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the message with the objects that are wanted, or None if it is not."""
        if self.cameras and message["sensorId"] not in self.cameras:
            return None
        objects = [
            found
            for found in message["objects"]
            if found["confidence"] * 100 >= self.min_confidence
            and (not self.classes or found["type"].casefold() in self.classes)
        ]
        if not objects and (self.classes or self.min_confidence > 0):
            return None
        return {**message, "objects": objects}


class Columns:
    """Messages as lines of aligned columns; those of cameras and models grow with what they have shown."""

    def __init__(self, cameras: Sequence[str], models: Sequence[str]) -> None:
        self._camera_width = max(map(len, ["camera", *cameras]))
        self._model_width = max(map(len, ["model", *models]))

    @property
    def heading(self) -> str:
        """The names of the columns."""
        return self._line("time", "camera", "model", "latency", "objects")

    def line(self, message: Mapping[str, Any]) -> str:
        """One message: capture time, camera, model, milliseconds from capture to publishing, and objects."""
        objects = ", ".join(
            f"{printable(found['type'])} {found['confidence']:.0%} {_box(found)}"
            for found in message["objects"]
        )
        latency = f"{message['timing']['totalMs']:.0f} ms"
        camera = printable(message["sensorId"])
        return self._line(message["timestamp"], camera, message["model"]["name"], latency, objects or "-")

    def _line(self, time: str, camera: str, model: str, latency: str, objects: str) -> str:
        self._camera_width = max(self._camera_width, len(camera))
        return (
            f"{time:{_TIME_WIDTH}}  {camera:{self._camera_width}}  {model:{self._model_width}}  "
            f"{latency:>{_LATENCY_WIDTH}}  {objects}"
        )


def tail(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Only detections of this model; repeat it for more. Default: all of the routes.",
            autocompletion=model_names,
        ),
    ] = None,
    routes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML file of routes, as for consume.")
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat it for more.")] = None,
    object_class: Annotated[
        list[str] | None, typer.Option("--class", help="Only objects of this class; repeat it for more.")
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=100, help="Only objects this sure or surer, in percent.")
    ] = 0.0,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest that the topic keeps.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many messages.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write messages as on the bus, one a line (confidence 0..1).")
    ] = False,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each frame there with its boxes drawn, as a JPEG."),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the frames of each camera there as an MP4, boxes drawn."),
    ] = None,
    fps: Annotated[
        float,
        typer.Option(min=1, max=240, help="Pictures per second of --video; the pace is that of capture."),
    ] = 25.0,
) -> None:
    """Show detections as they come, until told to stop; joins no group and commits nothing."""
    settings = load_settings(**given_routes(None, routes))
    configure_logs(settings.log, ends_by_itself=True)
    models = model or load_routes(settings).models
    if 0 < min_confidence < 1:
        raise typer.BadParameter(f"{min_confidence:g} is below 1 percent; write {100 * min_confidence:g}")
    wanted = Wanted(camera or (), [name.casefold() for name in object_class or ()], min_confidence)
    columns = Columns(wanted.cameras, models)
    annotated = _annotated_frames(settings, annotate, video, fps)
    stop = stop_on_signals()
    shown = 0
    with ExitStack() as opened:
        if annotated is not None:
            opened.enter_context(closing(annotated))
        reader = opened.enter_context(closing(KafkaReader(settings.kafka)))
        reader.follow([detections_topic(name) for name in models], from_start=from_start)
        if sys.stdout.isatty() and not as_json:
            typer.echo(columns.heading)
        while not stop.is_set():
            for record in reader.poll(_POLL_RECORDS, _POLL_TIMEOUT_S):
                message = _message(record)
                if message is None or (message := wanted.filter(message)) is None:
                    continue
                typer.echo(orjson.dumps(message).decode() if as_json else columns.line(message))
                if annotated is not None:
                    annotated.write(message)
                shown += 1
                if shown == count or stop.is_set():
                    return


def _message(record: Record) -> dict[str, Any] | None:
    """Reads a detection message; says so if it is something else that somebody has published there."""
    from framebus.wire import DETECTIONS_TYPE

    if dict(record.headers).get("ce_type") == DETECTIONS_TYPE.encode():
        with suppress(orjson.JSONDecodeError):
            message: dict[str, Any] = orjson.loads(record.value)
            return message
    place = f"{record.partition.topic}-{record.partition.number}-{record.offset:06}"
    typer.echo(f"record {place} is left out: it is no detection message of framebus", err=True)
    return None


def _annotated_frames(
    settings: Settings, pictures: Path | None, videos: Path | None, fps: float
) -> "AnnotatedFrames | None":
    if pictures is None and videos is None:
        return None
    from framebus.cli.annotated_frames import AnnotatedFrames

    for option, directory in (("--annotate", pictures), ("--video", videos)):
        if directory is None:
            continue
        if directory.suffix == ".mp4":
            raise typer.BadParameter(
                f"{directory}: name a directory; each camera gets an MP4 of its own there", param_hint=option
            )
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{directory}: {error.strerror}", param_hint=option) from error
    return AnnotatedFrames(
        settings.kafka, settings.consumer.max_frame_pixels, pictures=pictures, videos=videos, fps=fps
    )


def _box(found: Mapping[str, Any]) -> str:
    box = found["bbox"]
    return f"({box['leftX']:.0f},{box['topY']:.0f} {box['rightX']:.0f},{box['bottomY']:.0f})"

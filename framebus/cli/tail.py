"""`framebus tail`: detections as they come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from framebus import wire
from framebus.bus import Partition
from framebus.bus.kafka import KafkaReader
from framebus.cli.signals import stop_on_signals
from framebus.logs import configure_logs
from framebus.settings import load_settings
from framebus.topics import detections_topic

_POLL_RECORDS = 100
_POLL_TIMEOUT_S = 0.2
_PICTURE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which detections are shown; empty means any."""

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
            and (not self.classes or found["type"] in self.classes)
        ]
        if not objects and (self.classes or self.min_confidence > 0):
            return None
        return {**message, "objects": objects}


def tail(
    model: Annotated[
        list[str] | None, typer.Option(help="Model whose detections are shown; by default the consumer's.")
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
        Path | None, typer.Option(metavar="DIR", help="Write each frame there with its boxes drawn.")
    ] = None,
) -> None:
    """Show detections as they come, until told to stop; joins no group and commits nothing."""
    settings = load_settings()
    configure_logs(settings.log)
    wanted = Wanted(camera or (), object_class or (), min_confidence)
    if annotate is not None:
        annotate.mkdir(parents=True, exist_ok=True)
    stop = stop_on_signals()
    reader, pictures = KafkaReader(settings.kafka), KafkaReader(settings.kafka)
    shown = 0
    try:
        reader.follow(
            [detections_topic(name) for name in model or [settings.consumer.model]], from_start=from_start
        )
        while not stop.is_set():
            for record in reader.poll(_POLL_RECORDS, _POLL_TIMEOUT_S):
                message = wanted.filter(orjson.loads(record.value))
                if message is None:
                    continue
                typer.echo(orjson.dumps(message).decode() if as_json else _line(message))
                if annotate is not None:
                    _annotate(message, pictures, annotate, settings.consumer.max_frame_pixels)
                shown += 1
                if shown == count:
                    return
    finally:
        reader.close()
        pictures.close()


def _line(message: Mapping[str, Any]) -> str:
    objects = ", ".join(
        f"{found['type']} {found['confidence']:.0%} {_box(found)}" for found in message["objects"]
    )
    return f"{message['timestamp']}  {message['sensorId']}  {message['model']['name']}  {objects or '-'}"


def _box(found: Mapping[str, Any]) -> str:
    box = found["bbox"]
    return f"({box['leftX']:.0f},{box['topY']:.0f} {box['rightX']:.0f},{box['bottomY']:.0f})"


def _annotate(message: Mapping[str, Any], pictures: KafkaReader, directory: Path, max_pixels: int) -> None:
    from framebus import images

    source = message["source"]
    frame = pictures.read_at(
        Partition(source["topic"], source["partition"]), source["offset"], _PICTURE_TIMEOUT_S
    )
    if frame is None:
        typer.echo(f"the frame at {source} is not kept any more", err=True)
        return
    detections, labels = wire.detections_from_json(message)
    picture = images.draw(images.decode(frame.value, max_pixels), detections, labels)
    name = f"{message['model']['name']}-{source['topic']}-{source['partition']}-{source['offset']:06}.jpg"
    (directory / name).write_bytes(images.encode_jpeg(picture))

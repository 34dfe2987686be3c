"""`framebus replay`: what the bus keeps, published or written once more."""

import json
import math
import threading
from contextlib import ExitStack, closing
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from framebus.cli.completion import model_names
from framebus.cli.moments import parse_since
from framebus.cli.progress import progress_bar
from framebus.cli.replay.selection import Bound, Mark, Selection, parse_mark, parse_until
from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.logs import configure_logs

if TYPE_CHECKING:
    from framebus.bus import Record
    from framebus.cli.replay.reading import Reading
    from framebus.cli.replay.tally import Tally
    from framebus.settings import Settings

_POLL_TIMEOUT_S = 0.2
_OUT_STANDARD = Path("-")


class Sink(Protocol):
    """Where replayed records go."""

    def take(self, record: "Record") -> None:
        """Takes one."""
        ...

    def serve(self) -> None:
        """Learns what has become of those that were taken, without waiting."""
        ...

    def finish(self) -> None:
        """Makes sure of all that were taken."""
        ...

    def close(self) -> None:
        """Frees what was opened."""
        ...


class PaceBy(StrEnum):
    """What `--pace` goes by."""

    RECORD = "record"
    CAPTURE = "capture"


def parse_pace(text: str) -> float:
    """Reads `1`, `2x` or `0.5`.

    Raises:
        BadParameter: It is no pace.
    """
    try:
        pace = float(text.lower().removesuffix("x"))
    except ValueError:
        pace = math.nan
    if not 0 < pace < math.inf:
        raise typer.BadParameter(f"{text!r} is no pace; write 1 for that of the recording, 2x, or 0.5")
    return pace


def replay(
    topic: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Topic of frames to replay; repeat it for more. Default: FRAMEBUS_TOPICS__FRAMES.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            autocompletion=model_names,
            help="Replay the detections of this model instead of frames; repeat it for more.",
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_since,
            metavar="AGO|TIME",
            help="Only what was published since: 90s, 10m, 2h or 3d ago, or an RFC 3339 time.",
        ),
    ] = None,
    offset: Annotated[
        list[Mark] | None,
        typer.Option(
            parser=parse_mark,
            metavar="[PARTITION/]OFFSET",
            help="Begin there, in all partitions (1200) or in one and no other (3/1200; repeat it for more).",
        ),
    ] = None,
    until: Annotated[
        list[Bound] | None,
        typer.Option(
            parser=parse_until,
            metavar="AGO|TIME|OFFSET|now",
            help="End before there, as with --since or --offset. Default: with what is there when it begins.",
        ),
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat it for more.")] = None,
    pace: Annotated[
        float | None,
        typer.Option(
            parser=parse_pace,
            metavar="FACTOR",
            help="1: at the pace of the recording; 2x: twice as fast. Default: as fast as it can be.",
        ),
    ] = None,
    pace_by: Annotated[
        PaceBy, typer.Option(help="Whether --pace goes by the time of publishing or of capture.")
    ] = PaceBy.RECORD,
    to_topic: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Publish there, keys, headers and values byte for byte."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write there: frames as pictures in a new directory, detections as JSON lines in a new "
            "file; - is standard output.",
        ),
    ] = None,
    same_topic: Annotated[
        bool,
        typer.Option("--same-topic", help="Let --to-topic be what is read: what is replayed is there twice."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write what became of the records as the last line of output.")
    ] = False,
) -> None:
    """Replay frames or detections that the bus still keeps, to another topic or to files.

    Reads as an onlooker: joins no group and commits nothing. Exit code 1 if something was not replayed, or
    it was stopped before the end.
    """
    if topic and model:
        raise typer.BadParameter("--topic is for frames and --model for detections; give one of them")
    if (to_topic is None) == (to is None):
        raise typer.BadParameter("say where to: either --to-topic NAME or --to PATH")
    if to == _OUT_STANDARD and (as_json or not model):
        raise typer.BadParameter(
            "--to - is for detections, and has nothing else on standard output: give --model, and no --json"
        )
    settings = load_settings()
    configure_logs(settings.log, ends_by_itself=True)
    from framebus.cli.replay.tally import Tally
    from framebus.cli.replay.topics import check_target, partition_counts, source_topics

    selection = Selection.of(camera, since, offset, until)
    sources = source_topics(settings, topic or (), model or ())
    if to_topic is not None:
        check_target(settings, sources, to_topic, of_frames=not model, same_topic=same_topic)
    topics = partition_counts(settings, sources, to_topic)
    selection.check(topics)
    tally = Tally("detections" if model else "frames")
    stop = stop_on_signals()
    with ExitStack() as opened:
        sink = opened.enter_context(closing(_sink(settings, tally, to_topic, to)))
        reading = opened.enter_context(closing(_reading(settings, selection, topics, pace, pace_by)))
        stopped = True
        try:
            _run(reading, sink, tally, stop, beside_output=to == _OUT_STANDARD)
            stopped = bool(reading.pending)
        finally:
            typer.echo(tally.in_words(str(sink), stopped=stopped), err=True)
            if as_json:
                typer.echo(json.dumps(tally.as_json(stopped=stopped)))
    if stopped or tally.refused:
        raise typer.Exit(1)


def _run(
    reading: "Reading", sink: Sink, tally: "Tally", stop: threading.Event, *, beside_output: bool
) -> None:
    """Replays until all is done or `stop` is set, and makes sure of what was taken by then."""
    handed_over = dict(reading.begin)
    with progress_bar(f"replaying {tally.what}", reading.total, beside_output=beside_output) as on_progress:
        while reading.pending and not stop.is_set():
            for record in reading.poll(_POLL_TIMEOUT_S):
                sink.take(record)
                handed_over[record.partition] = record.offset + 1
            sink.serve()
            tally.left_out = reading.left_out
            on_progress(reading.passed, f"{tally.replayed:,} replayed")
        sink.finish()
    tally.next = {one: offset for one, offset in handed_over.items() if one in reading.pending}


def _reading(
    settings: "Settings", selection: Selection, topics: dict[str, int], pace: float | None, pace_by: PaceBy
) -> "Reading":
    from framebus.bus import Partition
    from framebus.bus.kafka import KafkaCluster
    from framebus.cli.replay.reading import PacedReading, Reading, captured_time, record_time
    from framebus.cli.span import Extent, Span

    extent = Extent.of(settings.kafka, topics)
    first_since = None
    if selection.since_ms is not None:
        partitions = [Partition(name, number) for name, count in topics.items() for number in range(count)]
        first_since = KafkaCluster(settings.kafka).first_offsets_since(partitions, selection.since_ms)
    for line in selection.not_kept(extent):
        typer.echo(line, err=True)
    begin, end = selection.within(extent, first_since)
    span = Span(settings.kafka, begin, end)
    if pace is None:
        return Reading(span, selection, begin, end)
    clock = captured_time if pace_by is PaceBy.CAPTURE else record_time
    return PacedReading(span, selection, begin, end, speed=pace, clock=clock)


def _sink(settings: "Settings", tally: "Tally", to_topic: str | None, to: Path | None) -> Sink:
    if to_topic is not None:
        from framebus.cli.replay.to_topic import TopicSink

        return TopicSink(settings, to_topic, tally)
    from framebus.cli.replay.to_files import DetectionLines, PictureFolder

    assert to is not None
    return (DetectionLines if tally.what == "detections" else PictureFolder)(to, tally)

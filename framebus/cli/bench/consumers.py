"""`framebus bench consumers`: frames/s of 1, 2 and 4 consumers of one group, whose engines sleep."""

import math
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from framebus.cli.bench import options
from framebus.cli.bench.consumer_group import ACCOUNT, ConsumerGroups
from framebus.cli.bench.footage import JPEG_QUALITY, read_footage
from framebus.cli.bench.machine import broker_in_words, describe_machine
from framebus.cli.bench.own_broker import OwnBrokerOption, own_broker
from framebus.cli.bench.report import Plot, Report, Row
from framebus.cli.bench.rounds import Case, Measured, measure_in_turn, ratios, summary
from framebus.cli.bench.sleeping_engine import BATCH, install_sleeping_engine
from framebus.environment import load_settings
from framebus.local_broker import BrokerKind

CONSUMERS = (1, 2, 4)
CALL_MS = 100.0
SECONDS, SHORT_SECONDS = 10.0, 3.0

# Partitions of each consumer, where there are most of them.
_PARTITIONS_EACH = 2
_PICTURE_SIZE = (120, 160)
_PICTURES = 16
_COLUMNS = {
    "consumers": "d",
    "partitions": "d",
    "frame_kb": ".1f",
    "fps": ".1f",
    "vs_one": ".3f",
    "efficiency": ".3f",
    "vs_engines": ".3f",
    "frames": "d",
    "lost": "d",
    "duplicates": "d",
    "busy_cores": ".2f",
    "machine_busy_cores": ".2f",
    "cpu_ms_per_frame": ".2f",
    "broker_cpu_ms_per_frame": ".2f",
    "consumer_mb": ".0f",
}
_PLOTS = (
    Plot("fps", "frames/s", "consumers", "consumers, each with an engine that sleeps", (), is_log=True),
    Plot("busy_cores", "cores busy: consumers and broker", "consumers", "consumers", (), is_log=True),
)

ConsumersOption = Annotated[
    list[int] | None,
    typer.Option(
        "--consumers",
        min=1,
        max=64,
        show_default=False,
        help=f"How many; repeat it for more. One is always among them. Default: "
        f"{', '.join(map(str, CONSUMERS))}.",
    ),
]
CallOption = Annotated[
    float,
    typer.Option("--call-ms", min=1, help=f"How long the engine sleeps for a call of {BATCH} pictures."),
]
VideoOption = Annotated[
    Path | None,
    typer.Option(
        "--video",
        exists=True,
        dir_okay=False,
        help="Frames to measure with. Default: small ones made here (160x120), which are cheap to decode.",
    ),
]


def consumers(
    consumers: ConsumersOption = None,
    call_ms: CallOption = CALL_MS,
    video: VideoOption = None,
    rounds: options.RoundsOption = None,
    seconds: options.SecondsOption = None,
    broker: OwnBrokerOption = BrokerKind.AUTO,
    json_file: options.JsonOption = None,
    plot_file: options.PlotOption = None,
    short: options.ShortOption = False,
) -> None:
    """Measure how throughput grows with consumers of one group, whose engines sleep and take no core.

    Each measurement starts so many `framebus consume` on a new topic, waits until all have their share of its
    partitions, publishes a backlog with equally many frames on each partition, and counts for --seconds what
    the broker acknowledged. Then it lets the backlog be finished, and reads all detections: each frame must
    have been answered, and once.

    vs_one: times the fps of one consumer
    efficiency: vs_one / consumers; 1 is linear growth
    vs_engines: share of what the engines alone would do, which is 8 pictures in --call-ms each
    frames, lost, duplicates: published in all rounds; without detections; with more than one message of them
    busy_cores: CPU seconds per second of consumers and broker; machine_busy_cores: of everything that runs
    cpu_ms_per_frame: CPU time of the consumers, which is all that a frame costs but its engine
    consumer_mb: resident memory of each consumer
    """
    options.check_outputs(json_file, plot=plot_file)
    options.need("psutil")
    settings = load_settings()
    counts = sorted({1, *(consumers or CONSUMERS)})
    jpegs = small_jpegs() if video is None else read_footage(video).jpegs
    report = Report("frames/s by consumers of one group", _COLUMNS, plots=_PLOTS)
    with (
        tempfile.TemporaryDirectory(prefix="framebus-bench-") as folder,
        own_broker(settings, broker, Path(folder) / "models") as own,
        options.progress_bar("consumers") as progress,
    ):
        (Path(folder) / "models").mkdir()
        machine = describe_machine(broker_in_words(own.kind))
        groups = ConsumerGroups(
            broker=own,
            environment=install_sleeping_engine(Path(folder) / "engine"),
            jpegs=jpegs,
            call_ms=call_ms,
            partitions=_PARTITIONS_EACH * math.lcm(*counts),
            seconds=seconds or (SHORT_SECONDS if short else SECONDS),
        )
        cases = [Case(f"{number} consumers", partial(groups.measure, number)) for number in counts]
        measured = measure_in_turn(cases, options.rounds_or_default(rounds, short), progress)
        report.rows.extend(rows(dict(zip(counts, measured, strict=True)), groups))
    report.publish(machine, json_file, plot_file)


def small_jpegs() -> list[bytes]:
    """Pictures that cost little to decode and to move, each with detail of its own."""
    import numpy as np

    from framebus.images import encode_jpeg

    random = np.random.default_rng(1)
    height, width = _PICTURE_SIZE
    coarse = random.integers(0, 256, (_PICTURES, height // 8, width // 8, 3), np.uint8)
    return [encode_jpeg(picture.repeat(8, 0).repeat(8, 1), JPEG_QUALITY) for picture in coarse]


def rows(measured: Mapping[int, Measured], groups: ConsumerGroups) -> list[Row]:
    """A row for each number of consumers, compared with one consumer round by round."""
    found: list[Row] = []
    for consumers, one in measured.items():
        row: dict[str, Any] = {
            "consumers": consumers,
            "partitions": groups.partitions,
            "call_ms": groups.call_ms,
            "frame_kb": sum(map(len, groups.jpegs)) / len(groups.jpegs) / 1000,
        }
        for name, values in one.values.items():
            if name in ACCOUNT:
                row[name] = round(sum(values))
            else:
                row |= summary(name, values)
        vs_one = ratios(one, measured[1], "fps")
        row |= summary("vs_one", vs_one) | summary("efficiency", [times / consumers for times in vs_one])
        found.append(row)
    return found

"""`framebus capacity`: what so many cameras take; docs/scaling.md has the formulas."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from framebus.cli.moments import parse_duration
from framebus.environment import load_settings

if TYPE_CHECKING:
    from framebus.cli.capacity.plan import Demand, Plan

# With one consumer, by `framebus bench consumers` in docs/scaling.md: at higher rates, frames share requests.
CONSUMER_MS = 3.1
BROKER_MS = 1.5

_OUTAGE, _CATCH_UP = timedelta(minutes=10), timedelta(minutes=30)
_REPLICATION = 3
_PIPED_COLUMNS = 400
_KB, _MB, _GB, _GBIT = 1e3, 1e6, 1e9, 1e9 / 8


def capacity(
    cameras: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")],
    fps: Annotated[float, typer.Option(min=0.001, max=1_000, help="Frames per second of each camera.")],
    frame_kb: Annotated[float, typer.Option(min=0.1, max=1e6, help="Of a frame as JPEG, in 1000 bytes.")],
    consumer_fps: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Frames per second that one consumer does at most: `framebus bench stream` on its machine.",
        ),
    ],
    models: Annotated[
        int,
        typer.Option(min=1, max=1_000, help="That each frame goes through, each with consumers of its own."),
    ] = 1,
    subscribers: Annotated[int, typer.Option(min=0, help="That read all detections of a model.")] = 1,
    objects: Annotated[int, typer.Option(min=0, max=1_000, help="In a frame, on average.")] = 5,
    even: Annotated[
        bool,
        typer.Option(
            "--even", help="The cameras' names were chosen so that no partition has two more than another."
        ),
    ] = False,
    spare: Annotated[
        int, typer.Option(min=0, help="Consumers of each model that may be away while the others keep up.")
    ] = 1,
    outage: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_duration, metavar="TIME", help="So long all consumers may be away... Default: 10m."
        ),
    ] = None,
    catch_up: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_duration, metavar="TIME", help="...and so long they then may be late. Default: 30m."
        ),
    ] = None,
    retention: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="How long frames are kept. Default: FRAMEBUS_TOPICS__FRAMES_RETENTION_MS.",
        ),
    ] = None,
    replication: Annotated[
        int, typer.Option(min=1, max=9, help="Copies of each partition, on as many brokers.")
    ] = _REPLICATION,
    network_gbit: Annotated[
        float, typer.Option(min=0.01, help="Of each broker, per second and direction; half of it is used.")
    ] = 10.0,
    consumer_ms: Annotated[
        float,
        typer.Option(
            min=0, help="CPU time of a consumer per frame beside its engine: `framebus bench consumers`."
        ),
    ] = CONSUMER_MS,
    broker_ms: Annotated[
        float, typer.Option(min=0, help="CPU time of the broker per frame: `framebus bench consumers`.")
    ] = BROKER_MS,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, in bytes and seconds.")] = False,
) -> None:
    """Tell what so many cameras take: partitions, consumers, brokers, network, disk and memory.

    It asks no broker. Retention, and what consumers hold at once, are as the settings say. How many frames a
    consumer does has to be measured, on a machine such as it will run on.
    """
    from framebus.cli.capacity.plan import Demand, plan

    if catch_up is not None and not catch_up:
        raise typer.BadParameter(
            "no consumer catches up in no time; write such as 30m", param_hint="--catch-up"
        )
    changes = {} if retention is None else {"frames_retention_ms": round(retention.total_seconds() * 1000)}
    settings = load_settings(topics=changes)
    demand = Demand(
        cameras=cameras,
        fps=fps,
        frame_bytes=frame_kb * _KB,
        consumer_fps=consumer_fps,
        models=models,
        subscribers=subscribers,
        objects=objects,
        is_even=even,
        spare_consumers=spare,
        outage_s=(_OUTAGE if outage is None else outage).total_seconds(),
        catch_up_s=(catch_up or _CATCH_UP).total_seconds(),
        replication=replication,
        broker_network=network_gbit * _GBIT,
        consumer_ms=consumer_ms,
        broker_ms=broker_ms,
    )
    found = plan(demand, settings.topics, settings.consumer)
    if as_json:
        typer.echo(json.dumps({"demand": asdict(demand), "plan": asdict(found)}, indent=2))
    else:
        _show(demand, found)


def _show(demand: "Demand", found: "Plan") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for row in _rows(demand, found):
        table.add_row(*row)
    Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS).print(table)


def _rows(demand: "Demand", found: "Plan") -> Iterator[tuple[str, str, str]]:
    of_each = "" if demand.models == 1 else f" of each of {demand.models} models"
    yield (
        "frames",
        f"{found.frames_per_s:,.0f}/s",
        f"{found.frames_per_s * found.frame_bytes / _MB:,.1f} MB/s",
    )
    yield (
        f"consumers{of_each}",
        f"{found.consumers}",
        f"{demand.spare_consumers} may be away; the busiest has {found.busiest_consumer_fps:,.0f} frames/s",
    )
    yield "partitions", f"{found.partitions}", "framebus topics create --partitions, before cameras publish"
    yield (
        "each consumer: network",
        f"{found.consumer_in / _MB:,.1f} MB/s in",
        f"{found.consumer_out / _MB:,.2f} MB/s out",
    )
    yield "each consumer: CPU", f"{found.consumer_cores:,.1f} cores", "beside the engine"
    yield (
        "each consumer: memory",
        f"{found.consumer_memory_bytes / _MB:,.0f} MB",
        "for frames, at most; beside the program and the model",
    )
    yield (
        "brokers",
        f"{found.brokers}",
        f"{demand.replication} copies" + ", one may be away" * (demand.replication > 1),
    )
    yield (
        "each broker: network",
        f"{found.broker_in / _MB:,.1f} MB/s in",
        f"{found.broker_out / _MB:,.1f} MB/s out",
    )
    yield "each broker: CPU", f"{found.broker_cores:,.1f} cores", ""
    frames_gb, detections_gb = found.frames_disk_bytes / _GB, found.detections_disk_bytes / _GB
    yield (
        "each broker: disk",
        f"{found.broker_disk_bytes / _GB:,.0f} GB",
        f"of all brokers: frames {frames_gb:,.0f} GB, detections {detections_gb:,.0f} GB",
    )
    if found.is_cut_short:
        yield (
            "FRAMEBUS_TOPICS__FRAMES_RETENTION_BYTES",
            f"{found.retention_bytes}",
            f"as it is, the fullest partition keeps frames for {found.kept_s / 60:,.1f} min only",
        )

"""The report of `framebus status` for people: tables on a terminal, aligned lines elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from framebus.cli.printable import printable

_NOT_TOLD = "-"
_TOO_FAR_BEHIND_S = 1.0

_NO_MODEL = {"model": None, "detections_per_s": 0.0, "latency_p50_ms": None, "latency_p95_ms": None}

Row = Sequence[str]
Report = Mapping[str, Any]


def show(report: Report, console: Console) -> None:
    """Writes the whole report."""
    number = len(report["brokers"])
    console.print(f"broker {report['broker']}, {number} {'broker' if number == 1 else 'brokers'}")
    _table(
        console,
        "Models",
        ["model", "topic"],
        ["partitions", "committed", "end", "lag", "worst partition", "oldest waiting"],
        _backlog_rows(report["models"]),
    )
    _table(
        console,
        "Consumers",
        ["model", "group", "state", "client", "host", "partitions"],
        [],
        _consumer_rows(report["models"]),
    )
    _table(
        console,
        f"Cameras, during {report['seconds']:.1f} s",
        ["camera", "model"],
        ["frames/s", "MB/s", "last frame", "detections/s", "latency p50", "latency p95", "dead letters"],
        _camera_rows(report["cameras"]),
    )
    if report["behind_s"] > _TOO_FAR_BEHIND_S:
        console.print(f"reading them was {_duration(report['behind_s'])} behind: the rates are too low")
    for problem in report["problems"]:
        console.print(Text.assemble(("problem: ", "bold red"), problem))


def _table(
    console: Console, title: str, left: Sequence[str], right: Sequence[str], rows: Sequence[Row]
) -> None:
    """Writes a table whose first columns are aligned to the left, and the others to the right."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print()
    console.print(table)


def _backlog_rows(models: Sequence[Report]) -> list[Row]:
    return [
        (
            model["model"],
            topic["topic"],
            str(len(topic["partitions"])),
            _or_not_told(topic["committed"]),
            str(topic["end"]),
            str(topic["lag"]),
            _worst(topic["partitions"]),
            _duration(topic["oldest_waiting_s"]),
        )
        for model in models
        for topic in model["topics"]
    ]


def _worst(partitions: Sequence[Report]) -> str:
    worst = max(partitions, key=lambda one: int(one["lag"]))
    return f"{worst['partition']}: {worst['lag']}" if worst["lag"] else _NOT_TOLD


def _consumer_rows(models: Sequence[Report]) -> list[Row]:
    rows: list[Row] = []
    for model in models:
        of_group = (model["model"], model["group"], model["state"])
        if not model["consumers"]:  # there is none, or the broker does not tell
            rows.append((*of_group, *[_NOT_TOLD] * 3))
        for consumer in model["consumers"] or ():
            shares = [f"{len(numbers)} of {topic}" for topic, numbers in consumer["partitions"].items()]
            rows.append((*of_group, consumer["client"], consumer["host"], ", ".join(shares) or "none"))
    return rows


def _camera_rows(cameras: Sequence[Report]) -> list[Row]:
    return [
        (
            printable(camera["camera"]),
            _or_not_told(model["model"]),
            f"{camera['frames_per_s']:.1f}",
            f"{camera['bytes_per_s'] / 1e6:.2f}",
            f"{_duration(camera['last_frame_s'])} ago" if camera["last_frame_s"] is not None else _NOT_TOLD,
            f"{model['detections_per_s']:.1f}",
            _milliseconds(model["latency_p50_ms"]),
            _milliseconds(model["latency_p95_ms"]),
            str(sum(camera["dead_letters"].values())),
        )
        for camera in cameras
        for model in camera["models"] or [_NO_MODEL]
    ]


def _or_not_told(value: int | str | None) -> str:
    return _NOT_TOLD if value is None else str(value)


def _milliseconds(value: float | None) -> str:
    return _NOT_TOLD if value is None else f"{value:.0f} ms"


def _duration(seconds: float | None) -> str:
    """In the unit that suits, e.g. `0.4 s`, `12 s`, `5 min`, `3.0 h`."""
    if seconds is None:
        return _NOT_TOLD
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"

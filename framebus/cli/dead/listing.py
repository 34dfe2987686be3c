"""`framebus dead list`: the newest dead letters, one a line."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from framebus.cli.dead.selection import Selection
from framebus.cli.dead.topic import DeadTopic
from framebus.cli.places import Place
from framebus.cli.printable import printable
from framebus.dead_letters import DeadLetter
from framebus.wire import format_time

_HEADING = ("place", "time", "camera", "model", "reason", "message")
# Anybody can publish a camera id of megabytes; --json has it whole.
_MAX_COLUMN_WIDTH = 48
_GAP = "  "

Report = Mapping[str, Any]


def newest(topic: DeadTopic, selection: Selection, count: int) -> list[Report]:
    """The newest dead letters that are selected, as --json writes them; the newest is last."""

    def take(letter: DeadLetter) -> tuple[str, Place, Report] | None:
        if not selection.includes(letter):
            return None
        report = report_of(letter)
        return report["time"] or "", Place.of(letter.place), report

    found = topic.newest(take, count=count, since_ms=selection.since_ms)
    found.sort(key=itemgetter(0, 1))
    return [report for _, _, report in found[-count:]]


def as_json(reports: Sequence[Report]) -> Iterator[str]:
    """One object a line; docs/dead-letters.md describes it."""
    # In ASCII: what others have published cannot command a terminal.
    return map(json.dumps, reports)


def as_lines(reports: Sequence[Report], width: int | None) -> Iterator[str]:
    """Aligned columns; on a terminal, of that width, with a heading and no line that is longer."""
    rows = [
        (
            report["place"],
            report["time"] or "-",
            shortened(report["camera"]),
            report["model"],
            report["reason"],
            printable(report["message"]),
        )
        for report in reports
    ]
    for line in _aligned(rows if width is None or not rows else [_HEADING, *rows]):
        yield line if width is None else _cut(line, width)


def summary(reports: Sequence[Report], count: int) -> str:
    """How many are listed, by model and reason."""
    if not reports:
        return "no such dead letters"
    models = by_model_and_reason((report["model"], report["reason"]) for report in reports)
    return f"the newest {count} (--count): {models}" if len(reports) == count else models


def by_model_and_reason(letters: Iterable[tuple[str, str]]) -> str:
    """How many dead letters of each model died of what."""
    number = Counter(letters)
    return ", ".join(f"{times} {model} {reason}" for (model, reason), times in sorted(number.items()))


def shortened(text: str) -> str:
    """What others have published, as it can be shown in a line."""
    return _cut(printable(text), _MAX_COLUMN_WIDTH)


def report_of(letter: DeadLetter) -> Report:
    """A dead letter as --json writes it; docs/dead-letters.md describes it."""
    return {
        "place": str(Place.of(letter.place)),
        "time": None if letter.died_at is None else format_time(letter.died_at),
        "camera": letter.camera_id,
        "model": letter.model,
        "reason": letter.reason,
        "message": letter.message,
        "frame": letter.frame_id,
        "source": {
            "topic": letter.source.topic,
            "partition": letter.source.partition,
            "offset": letter.source.offset,
        },
        "published": None if letter.published_at is None else format_time(letter.published_at),
        "bytes": len(letter.value),
        "left_out": letter.left_out or None,
    }


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *cells, last = row
        padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=False)]
        yield _GAP.join([*padded, last])


def _cut(text: str, width: int) -> str:
    cut = Text(text)
    cut.truncate(width, overflow="ellipsis")
    return cut.plain

"""Titled tables: what a scenario found, for people and as JSON."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Report = dict[str, Sequence[Row]]
"""Rows by the title of their table; the rows of a table have equal columns."""

_FAULTS = ("missing", "wrong", "out_of_order")


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that so many per cent do not exceed; of no values NaN."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1] if ordered else math.nan


def is_clean(report: Report) -> bool:
    """Whether no frame was lost, out of order, or answered with what is not its own."""
    faults = [row.get(fault) for rows in report.values() for row in rows for fault in _FAULTS]
    return not any(faults) and not any(row["waiting"] for row in report.get("frames", ()))


def as_text(report: Report) -> str:
    """The tables, in columns."""
    return "\n\n".join("\n".join([f"{title}:", *_lines(rows)]) for title, rows in report.items())


def _lines(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["  (none)"]
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:.1f}" if isinstance(value, float) else str(value)

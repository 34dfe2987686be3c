"""Writes the tables of docs/benchmarks.md and docs/scaling.md: python -m tests.tools.benchmark_page FOLDER.

FOLDER holds what `framebus bench PART --json FOLDER/PART.json` wrote; a part that is missing stays as it is.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
COLUMNS = {
    "engine": ("model", "case", "threads", "calls", "batch", "ms_per_image", "cpu_ms_per_image", "vs_raw_b8"),
    "stream": ("model", "case", "fps", "cpu_ms_per_frame", "vs_raw_b8", "vs_naive", "vs_limit"),
    "parts": ("model", "case", "limit_fps", "decode_ms", "engine_ms", "broker_ms", "clients_ms"),
    "latency": ("model", "case", "load", "fps", "p50_ms", "p90_ms", "p99_ms", "image_ms", "p99_over_image"),
    "rest": (
        *("model", "case", "concurrency", "requests_per_s", "p50_ms", "p99_ms", "cpu_ms_per_request"),
        *("vs_raw_b1", "vs_raw_b8"),
    ),
    "scale": (
        *("cameras", "partitions", "load", "fps", "cpu_ms_per_frame", "vs_one_camera"),
        *("broker_cpu_ms_per_frame", "consumer_idle_mb", "beyond_idle_mb"),
    ),
    "consumers": (
        *("consumers", "fps", "vs_one", "efficiency", "vs_engines", "frames", "lost", "duplicates"),
        *("busy_cores", "machine_busy_cores"),
    ),
    "costs": ("consumers", "frame_kb", "fps", "cpu_ms_per_frame", "broker_cpu_ms_per_frame", "consumer_mb"),
}
PAGES = {"consumers": "scaling.md", "costs": "scaling.md"}
"""Tables that are on another page than benchmarks.md."""

SOURCES = {"parts": "stream"}
"""Tables that show other columns of a part that has a table of its own."""


def main(folder: Path) -> None:
    """See above."""
    for name, columns in COLUMNS.items():
        file = folder / f"{SOURCES.get(name, name)}.json"
        if not file.exists():
            continue
        results = json.loads(file.read_text())["results"]
        rows = [row for row in results if columns[2] in row or name != "parts"]
        page = DOCS / PAGES.get(name, "benchmarks.md")
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = page.read_text().split(begin)
        page.write_text(f"{before}{begin}\n\n{table(rows, columns)}\n{end}{rest.split(end)[1]}")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A table in Markdown; in brackets the least and the most of the rounds."""
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "".join(" ---: |" if is_figure(rows, column) else " --- |" for column in columns),
    ]
    lines += ["| " + " | ".join(cell(row, column) for column in columns) + " |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


def is_figure(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether a column holds numbers."""
    return any(isinstance(row.get(column), int | float) for row in rows)


def cell(row: Mapping[str, Any], column: str) -> str:
    """A value, with its spread if it has one."""
    value = row.get(column)
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if f"{column}_least" not in row:
        return f"{value:.3g}"
    least, most = row[f"{column}_least"], row[f"{column}_most"]
    return f"{short(value)} ({short(least)}-{short(most)})"


def short(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What a measurement found: a table to read, JSON to compare, a plot to look at."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from framebus.errors import FramebusError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
"""One result, flat: words that say what was measured, and figures. `<name>_least` and `<name>_most` beside a
figure are its spread over the rounds (`rounds.summary`)."""

_PIPED_COLUMNS = 400
_PANEL_INCHES = (7.0, 4.2)


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of every row, with its spread.

    Attributes:
        figure: The column that is drawn upwards.
        label: What it is, with its unit.
        along: The column along the axis; numbers make lines, words make bars.
        along_label: What that is.
        series: Columns that tell one line, or one colour of bars, from another.
        panels: Columns that tell one panel from another; by default there is one panel.
        is_log: The axis along is logarithmic to base 2, for what is doubled from one row to the next.
    """

    figure: str
    label: str
    along: str
    along_label: str
    series: Sequence[str] = ("model",)
    panels: Sequence[str] = ()
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one sub-command.

    Attributes:
        title: Over the table and the plot.
        columns: What the table shows, in this order: the name in a row, and how a number is written (as for
            `format`). Rows may hold more, which only the JSON has; one that lacks a column shows "-".
        rows: See `Row`.
        plots: What is drawn, from top to bottom.
    """

    title: str
    columns: Mapping[str, str]
    rows: list[Row] = field(default_factory=list)
    plots: Sequence[Plot] = ()

    def publish(self, machine: Mapping[str, Any], json_file: Path | None, plot_file: Path | None) -> None:
        """Prints the table, and writes what files were asked for.

        Raises:
            FramebusError: There is no row, as each was left out; or a file cannot be written.
        """
        if not self.rows:
            raise FramebusError("nothing could be measured; what is said above has the reasons")
        self.print()
        try:
            if json_file is not None:
                self.write_json(json_file, machine)
            if plot_file is not None:
                self.write_plot(plot_file)
        except OSError as error:
            raise FramebusError(f"{error.filename}: {error.strerror}; name another file") from error

    def print(self) -> None:
        """Prints the table on standard output: medians, and in brackets the least and the most."""
        table = Table(title=self.title, title_justify="left")
        for name in self.columns:
            is_number = any(isinstance(row.get(name), int | float) for row in self.rows)
            table.add_column(name, justify="right" if is_number else "left")
        for row in self.rows:
            table.add_row(*(_in_words(row, name, form) for name, form in self.columns.items()))
        # Off a terminal rich takes 80 columns, and would break the figures.
        Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS).print(table)

    def write_json(self, file: Path, machine: Mapping[str, Any]) -> None:
        """Writes `{"machine": {...}, "results": [row, ...]}`."""
        text = json.dumps({"machine": machine, "results": self.rows}, ensure_ascii=False, indent=2)
        file.write_text(text + "\n", encoding="utf-8")

    def write_plot(self, file: Path) -> None:
        """Draws the plots, as svg or png by the file's name."""
        from matplotlib.figure import Figure

        panels = [
            (plot, title, rows)
            for plot in self.plots
            for title, rows in _grouped(self.rows, plot.panels).items()
        ]
        width, height = _PANEL_INCHES
        figure = Figure((width, height * len(panels)), layout="constrained")
        figure.suptitle(self.title)
        for axes, (plot, title, rows) in zip(
            figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True
        ):
            axes.set_title(title)
            _draw(axes, plot, [row for row in rows if row.get(plot.figure) is not None])
        figure.savefig(file)


def tell(what: str) -> None:
    """Says on standard error what has to be known to read the rows."""
    typer.echo(what, err=True)


def tell_left_out(what: str, reason: object) -> None:
    """Says on standard error that there will be no row for this, and why."""
    tell(f"without {what}: {reason}")


def _in_words(row: Row, name: str, form: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    if not isinstance(value, int | float):
        return str(value)
    words = format(value, form)
    if f"{name}_least" not in row:
        return words
    return f"{words} ({row[f'{name}_least']:{form}}-{row[f'{name}_most']:{form}})"


def _draw(axes: "Axes", plot: Plot, rows: Sequence[Row]) -> None:
    series = _grouped(rows, plot.series)
    if all(isinstance(row[plot.along], int | float) for row in rows):
        for name, members in series.items():
            medians, spread = _figures(members, plot.figure)
            along = [row[plot.along] for row in members]
            axes.errorbar(along, medians, spread, label=name, marker="o", capsize=3)
        if plot.is_log:
            axes.set_xscale("log", base=2)
            axes.set_xticks(sorted({row[plot.along] for row in rows}))
            axes.xaxis.set_major_formatter("{x:g}")
    else:
        places = {value: place for place, value in enumerate(dict.fromkeys(row[plot.along] for row in rows))}
        width = 0.8 / len(series)
        for number, (name, members) in enumerate(series.items()):
            medians, spread = _figures(members, plot.figure)
            along = [places[row[plot.along]] + (number - (len(series) - 1) / 2) * width for row in members]
            axes.bar(along, medians, width, yerr=spread, label=name, capsize=3)
        axes.set_xticks(list(places.values()), list(places))
    axes.set_xlabel(plot.along_label)
    axes.set_ylabel(plot.label)
    axes.set_ylim(bottom=0)
    if any(series):
        axes.legend()


def _grouped(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, list[Row]]:
    """The rows by what these columns say of them, in words; none, and they are all together."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        values = {column: row[column] for column in columns if row.get(column) is not None}
        # A number alone would say nothing.
        words = (value if isinstance(value, str) else f"{column} {value}" for column, value in values.items())
        groups.setdefault(", ".join(words), []).append(row)
    return groups


def _figures(rows: Sequence[Row], name: str) -> tuple[list[float], list[list[float]]]:
    """The medians, and how far the least lies below and the most above."""
    medians = [row[name] for row in rows]
    below = [row[name] - row.get(f"{name}_least", row[name]) for row in rows]
    above = [row.get(f"{name}_most", row[name]) - row[name] for row in rows]
    return medians, [below, above]

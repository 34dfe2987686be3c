"""What the sub-commands of `framebus bench` have in common: their options, and what those come to."""

import importlib.util
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from framebus import samples
from framebus.cli.bench.rounds import Progress as OnProgress
from framebus.cli.completion import model_names
from framebus.cli.models import fetch_with_progress
from framebus.errors import SettingsError
from framebus.model_repository import ModelRepository
from framebus.settings import Settings

ROUNDS = 5
SHORT_ROUNDS = 3
DEFAULT_MODEL = "pedestrian"
PLOT_KINDS = (".svg", ".png")
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        autocompletion=model_names,
        help=f"Model to measure; repeat it for more. Default: the sample {DEFAULT_MODEL}.",
    ),
]
VideoOption = Annotated[
    Path | None,
    typer.Option(
        "--video",
        exists=True,
        dir_okay=False,
        help="Frames to measure with. Default: the sample video plaza where it can be had, else street.",
    ),
]
RoundsOption = Annotated[
    int | None,
    typer.Option(
        "--rounds",
        min=1,
        show_default=False,
        help=f"How often everything is measured, in turn. Default: {ROUNDS}; {SHORT_ROUNDS} with --short.",
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option("--seconds", min=0.1, show_default=False, help="How long one measurement takes, at least."),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the rows, and what machine this is, as JSON."),
]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw the figures; .svg or .png by its name.")
]
ShortOption = Annotated[
    bool, typer.Option("--short", help="Fewer cases, measured for a shorter time: a first look.")
]


def console() -> Console:
    """Where everything goes that is no result: standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def models_or_default(names: list[str] | None, settings: Settings) -> list[str]:
    """Returns the models that are named, or the sample model; samples are fetched on first use.

    Raises:
        ModelError: One is not there, or not sound.
    """
    wanted = list(dict.fromkeys(names or [DEFAULT_MODEL]))
    there = ModelRepository(settings.models_dir)
    for name in wanted:
        if name in samples.read_samples() and not (settings.models_dir / name).exists():
            fetch_with_progress(samples.find_samples(name)[0], settings)
        there.open(name)
    return wanted


def rounds_or_default(rounds: int | None, short: bool) -> int:
    """Returns how often everything is measured."""
    return rounds or (SHORT_ROUNDS if short else ROUNDS)


def check_outputs(*files: Path | None, plot: Path | None) -> None:
    """Refuses files that could not be written at the end, before anything is measured.

    Args:
        *files: Any that will be written.
        plot: Where a plot will be drawn; None: nowhere.

    Raises:
        SettingsError: A folder is missing or may not be written to, the plot is of no kind that we draw, or
            matplotlib is not installed.
    """
    for file in (*files, plot):
        if file is None:
            continue
        if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
            raise SettingsError(f"{file}: cannot be written; name a file in a folder that is there and yours")
    if plot is not None:
        if plot.suffix not in PLOT_KINDS:
            raise SettingsError(
                f"--plot {plot}: not a plot that is drawn here; name one that ends with .svg or .png"
            )
        need("matplotlib")


def need(*modules: str) -> None:
    """Refuses to go on without modules that only benchmarks need, or that only an engine needs.

    Raises:
        SettingsError: One is not installed; says how to install it.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise SettingsError(
                f"framebus bench needs {module}, which is not installed; "
                "install framebus with its extra `bench`: `pip install '.[bench]'` in its checkout"
            )


@contextmanager
def progress_bar(title: str) -> Iterator[OnProgress]:
    """Shows on a terminal how far measuring has come, and what is measured; elsewhere nothing.

    Yields:
        What `measure_in_turn` tells; it may be used for several in a row.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[case]}"),
    )
    shown = console()
    # It must not take the time that is measured, so it is drawn between measurements only.
    with Progress(
        *columns, console=shown, transient=True, disable=not shown.is_terminal, auto_refresh=False
    ) as bar:
        task = bar.add_task(title, total=None, case="")

        def on_progress(done: int, of: int, case: str) -> None:
            bar.update(task, completed=done, total=of, case=case, refresh=True)

        yield on_progress


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Makes the first Ctrl-C, SIGTERM or SIGHUP a KeyboardInterrupt, and ignores more.

    Whoever started something ends it in its `finally`, in bounded time.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

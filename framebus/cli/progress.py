"""A bar on standard error, for whoever waits at a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

OnProgress = Callable[[int, str], None]
"""Told how far the work has come, and a few words on it."""


@contextmanager
def progress_bar(title: str, total: int | None, *, beside_output: bool = False) -> Iterator[OnProgress]:
    """Shows how far some work has come, while standard error is a terminal; elsewhere nothing.

    Args:
        title: What is done.
        total: How much there is of it, if that is known.
        beside_output: Results are written to standard output meanwhile, which would tear the bar where that
            is a terminal too: then they are progress enough.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
    )
    console = Console(stderr=True, highlight=False)
    is_shown = console.is_terminal and not (beside_output and sys.stdout.isatty())
    # What goes to standard output goes there, and not with the bar to standard error.
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not is_shown,
        redirect_stdout=False,
        refresh_per_second=4,
    ) as bar:
        task = bar.add_task(title, total=total, words="")
        yield lambda done, words: bar.update(task, completed=done, words=words)

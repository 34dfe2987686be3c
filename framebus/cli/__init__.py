"""The `framebus` command: the roof over the programs, the only place that composes them."""

import os
import sys
import threading
from typing import Annotated, NoReturn

import typer

from framebus.cli.roof import Roof
from framebus.errors import FramebusError, SettingsError


class _Framebus(Roof):
    names = (
        *("api", "broker", "produce", "consume", "detect", "tail", "replay", "status", "serve", "demo"),
        *("models", "topics", "dead", "capacity", "bench"),
    )


app = typer.Typer(
    name="framebus",
    cls=_Framebus,
    epilog="Settings are environment variables, FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS first of all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(metadata.version("framebus"))
        raise typer.Exit


@app.callback()
def framebus(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Camera frames in, detections out, over Apache Kafka."""


def main() -> None:
    """Runs the command line; an expected error is one clear line and exit code 1, or 2 for wrong usage."""
    try:
        app()
    except FramebusError as error:
        from framebus.logs import get_logger, log_is_json

        if log_is_json():  # and stays so
            get_logger("framebus").error(str(error))
        else:
            from rich.console import Console
            from rich.markup import escape

            console = Console(stderr=True, highlight=False, soft_wrap=True)
            console.print(f"[bold red]error:[/] {escape(str(error))}")
        _exit(2 if isinstance(error, SettingsError) else 1)


def _exit(code: int) -> NoReturn:
    if any(thread.daemon for thread in threading.enumerate()):
        # It waits inside librdkafka, whose TLS crashes when the interpreter takes itself down around it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)

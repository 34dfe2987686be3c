"""The `framebus` command: the roof over the programs, the only place that composes them."""

import os
import sys
import threading
from importlib import metadata
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from framebus.cli import (
    api,
    bench,
    broker,
    consume,
    dead,
    demo,
    detect,
    models,
    produce,
    replay,
    serve,
    status,
    tail,
    topics,
)
from framebus.errors import FramebusError, SettingsError
from framebus.logs import get_logger, log_is_json

app = typer.Typer(
    name="framebus",
    epilog="Settings are environment variables, FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS first of all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(models.app, name="models")
app.add_typer(topics.app, name="topics")
app.add_typer(dead.app, name="dead")
app.add_typer(bench.app, name="bench")
app.command("api")(api.api)
app.command("broker")(broker.broker)
app.command("produce")(produce.produce)
app.command("consume")(consume.consume)
app.command("detect")(detect.detect)
app.command("tail")(tail.tail)
app.command("replay")(replay.replay)
app.command("status")(status.status)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
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
        if log_is_json():  # and stays so
            get_logger("framebus").error(str(error))
        else:
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

"""The `framebus` command: the roof over the programs, the only place that composes them."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from framebus.cli import broker, consume, demo, detect, models, produce, tail, topics
from framebus.errors import FramebusError, SettingsError

app = typer.Typer(
    name="framebus",
    help="Camera frames in, detections out, over Apache Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(models.app, name="models")
app.add_typer(topics.app, name="topics")
app.command("broker")(broker.broker)
app.command("produce")(produce.produce)
app.command("consume")(consume.consume)
app.command("detect")(detect.detect)
app.command("tail")(tail.tail)
app.command("demo")(demo.demo)


def main() -> None:
    """Runs the command line; an expected error is one clear line and exit code 1, or 2 for wrong usage."""
    try:
        app()
    except FramebusError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error:[/] {escape(str(error))}"
        )
        sys.exit(2 if isinstance(error, SettingsError) else 1)

"""`framebus consume`: one consumer process."""

from typing import Annotated

import typer

from framebus.cli.signals import stop_on_signals
from framebus.logs import configure_logs
from framebus.settings import load_settings


def consume(
    model: Annotated[str | None, typer.Option(help="Model that every frame goes through.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="Engine to use instead of the one in the model's config.json.")
    ] = None,
) -> None:
    """Read frames, detect objects in them and publish the detections, until told to stop."""
    from consumer.app import Consumer

    settings = load_settings(consumer={} if model is None else {"model": model})
    configure_logs(settings.log)
    Consumer(settings, engine_name=engine).run(stop_on_signals())

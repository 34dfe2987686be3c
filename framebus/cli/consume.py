"""`framebus consume`: one consumer process, or one per device."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from framebus.cli.completion import engine_names, model_names
from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.errors import SettingsError
from framebus.logs import configure_logs
from framebus.routes import given_routes, load_routes
from framebus.settings import ConsumerSettings

# How long a worker may take to end after its frames are finished: it commits, and leaves the group.
_LEAVE_TIMEOUT_S = 20.0


def consume(
    model: Annotated[
        str | None, typer.Option(help="Model that every frame goes through.", autocompletion=model_names)
    ] = None,
    routes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML file: which topics feed which models.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine to use instead of the ones in the models' config.json.", autocompletion=engine_names
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="0,1",
            help="One worker process on each: GPUs by number, or cpu. Default: every visible GPU.",
        ),
    ] = None,
) -> None:
    """Read frames, detect objects in them and publish the detections, until told to stop."""
    from consumer.devices import default_devices, on_device, parse_devices

    chosen = None if devices is None else parse_devices(devices)
    settings = load_settings(**given_routes(model, routes))
    all_routes = load_routes(settings)  # what is wrong in them is said at once
    configure_logs(settings.log)
    if chosen is None:
        chosen = default_devices(settings)
    stop = stop_on_signals()
    if len(chosen) > 1:
        _supervise(
            chosen, {"--model": model, "--routes": routes, "--engine": engine}, settings.consumer, stop
        )
        return
    from consumer.app import Consumer
    from framebus.bus.kafka import KafkaBus

    for device in chosen:
        settings = on_device(settings, device)
    Consumer(settings, KafkaBus(settings.kafka), all_routes, engine_name=engine).run(stop)


def _supervise(
    devices: Sequence[str], options: Mapping[str, object], settings: ConsumerSettings, stop: threading.Event
) -> None:
    """Runs this command, with the options given, once per device and each with a port of its own."""
    from consumer.supervisor import Supervisor, Worker

    given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
    command = [sys.executable, "-m", "framebus.cli", "consume", *given]
    workers = [
        Worker(
            number,
            device,
            [*command, "--devices", device],
            {**os.environ, "FRAMEBUS_CONSUMER__HTTP_PORT": str(port), **_instance(settings, number)},
        )
        for number, (device, port) in enumerate(zip(devices, _ports(settings, len(devices)), strict=True))
    ]
    Supervisor(workers, settings.drain_timeout_s + _LEAVE_TIMEOUT_S).run(stop)


def _instance(settings: ConsumerSettings, number: int) -> dict[str, str]:
    """Workers share the settings, and each is a member of the group by itself."""
    if settings.instance_id is None:
        return {}
    return {"FRAMEBUS_CONSUMER__INSTANCE_ID": f"{settings.instance_id}-{number}"}


def _ports(settings: ConsumerSettings, count: int) -> Sequence[int]:
    first, last = settings.http_port, settings.http_port + count - 1
    if first == 0:
        return [0] * count
    if last > 65535:
        raise SettingsError(
            f"FRAMEBUS_CONSUMER__HTTP_PORT={first}: {count} workers need the ports up to {last}; "
            "begin with a lower one, or 0 for any free ones"
        )
    return range(first, last + 1)

"""`framebus serve`: the REST API and one worker in one process, without Kafka."""

import secrets
import threading
from functools import partial
from typing import Annotated

import typer
from pydantic import SecretStr

from framebus.bus.memory import MemoryBus
from framebus.cli.completion import engine_names
from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.logs import configure_logs
from framebus.routes import Routes
from framebus.settings import Settings


def serve(
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine to use instead of the ones in the models' config.json.", autocompletion=engine_names
        ),
    ] = None,
) -> None:
    """Answer the REST API with the models of the models directory, without Kafka, until told to stop.

    It listens on 127.0.0.1, port 4343; FRAMEBUS_API__HOST and FRAMEBUS_API__PORT say otherwise.
    """
    from consumer.app import Consumer
    from consumer.devices import default_devices, on_device
    from consumer.stages import Stages
    from control_api.app import ControlApi
    from framebus.cli.own_worker import OwnWorkerClient

    settings = _alone(load_settings())
    configure_logs(settings.log)
    for device in default_devices(settings)[:1]:
        settings = on_device(settings, device)
    bus, stop, api_has_ended = MemoryBus(), stop_on_signals(), threading.Event()
    worker = Consumer(settings, bus, Routes([], settings.topics), engine_name=engine)
    working = Stages("serve", lambda _: stop.set())
    working.start("worker", partial(worker.run, api_has_ended))
    api = ControlApi(settings, bus, OwnWorkerClient(worker.predictions), has_streams=False)
    api.plane.registry.register(worker.registry)  # the worker has no port that anybody knows
    try:
        api.run(stop)
    finally:  # the worker stays until the API has answered what it took
        api_has_ended.set()
        working.join()
    if working.failure is not None:
        raise working.failure


def _alone(settings: Settings) -> Settings:
    """Nobody but the API in this process reaches the worker, and old clients find the old status codes."""
    token = SecretStr(secrets.token_urlsafe(32))
    return settings.model_copy(
        update={
            "consumer": settings.consumer.model_copy(
                update={"http_host": "127.0.0.1", "http_port": 0, "http_address": None}
            ),
            "control": settings.control.model_copy(update={"worker_token": token}),
            "api": settings.api.model_copy(update={"legacy_status": settings.api.legacy_status is not False}),
        }
    )

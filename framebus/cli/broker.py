"""`framebus broker`: a Kafka broker on this machine, in the foreground."""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from framebus.environment import load_settings
from framebus.local_broker import BrokerKind, local_broker


def broker(
    kind: Annotated[
        BrokerKind, typer.Option("--broker", help="auto: apache if its jars are cached, else tansu")
    ] = BrokerKind.AUTO,
    port: Annotated[int, typer.Option(min=0, max=65535, help="on loopback; 0: any free port")] = 9092,
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="keep what is published here (apache only)")
    ] = None,
) -> None:
    """Run a local Kafka broker until Ctrl-C; prints its bootstrap servers when it is ready."""
    console = Console(stderr=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt_once)
    status = console.status("preparing the broker")
    running = local_broker(load_settings(), kind, port=port, data_directory=data_dir, report=status.update)
    try:
        with status:
            running.start()
        typer.echo(running.bootstrap_servers)
        console.print(f"the {running.kind} broker is ready; Ctrl-C ends it", highlight=False)
        running.wait()
    except KeyboardInterrupt:
        return
    finally:
        running.stop()


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the stop, which is bounded: `timeout` and Ctrl-C both send several.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt

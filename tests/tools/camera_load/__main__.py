"""Puts the load of many cameras on real consumers: python -m tests.tools.camera_load SCENARIO [--json FILE].

Starts a broker, topics and `framebus consume` processes, plays 32 cameras of mixed sizes, and accounts for
every frame by an outside reader, which shares nothing with the pipeline:

    fairness    one camera at ten times the rate of the rest
    latest      more than can be served, on a route that wants the newest frames
    two-models  a model ten times slower on the same topic
    takeover    two consumers, of which one is stopped, later the other killed

First it measures what one consumer makes of a backlog of these very cameras; the load is a share of that.
Ends with exit code 1 if a frame was lost, answered out of order, or with what is not its own.
"""

import json
import os
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from framebus.environment import load_settings
from framebus.local_broker import BrokerKind, local_broker
from framebus.logs import configure_logs
from framebus.resources import cache_directory
from framebus.samples import fetch, read_samples
from framebus.settings import KafkaSettings
from tests.tools.camera_load.bench import Bench, served_frames_per_s
from tests.tools.camera_load.cameras import play_cameras
from tests.tools.camera_load.fairness import fairness
from tests.tools.camera_load.latest import latest
from tests.tools.camera_load.report import Report, as_text, is_clean
from tests.tools.camera_load.takeover import takeover
from tests.tools.camera_load.two_models import two_models


class Scenario(StrEnum):
    """The loads there are."""

    FAIRNESS = "fairness"
    LATEST = "latest"
    TWO_MODELS = "two-models"
    TAKEOVER = "takeover"


class _Plan(NamedTuple):
    run: Callable[[Bench], Report]
    load: float
    seconds: float


_PLANS = {
    Scenario.FAIRNESS: _Plan(fairness, 0.7, 300),
    Scenario.LATEST: _Plan(latest, 3.0, 120),
    Scenario.TWO_MODELS: _Plan(two_models, 0.7, 60),
    Scenario.TAKEOVER: _Plan(takeover, 0.6, 120),
}


def main(
    scenario: Scenario,
    seconds: Annotated[
        float | None, typer.Option(help="How long cameras publish; default: 300, 120, 60 per turn, 120.")
    ] = None,
    load: Annotated[
        float | None,
        typer.Option(help="What they publish, as a share of what is served; default: 0.7, 3, 0.7, 0.6."),
    ] = None,
    served: Annotated[
        float | None, typer.Option(help="Frames/s that can be served; measured if not given.")
    ] = None,
    backlog: Annotated[int, typer.Option(help="Frames to measure that by.")] = 800,
    model: Annotated[str, typer.Option(help="A sample model.")] = "pedestrian",
    broker: Annotated[BrokerKind, typer.Option()] = BrokerKind.APACHE,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file too.")
    ] = None,
) -> None:
    """See above."""
    plan = _PLANS[scenario]
    settings = load_settings()
    configure_logs(settings.log)
    models_dir = cache_directory(settings) / "models"
    settings = settings.model_copy(update={"models_dir": models_dir})
    fetch(read_samples()[model], settings)
    cameras = play_cameras(settings)
    logs = Path(tempfile.mkdtemp(prefix="camera-load-"))
    load_average = os.getloadavg()[0]
    with local_broker(settings, broker) as running:
        settings = settings.model_copy(
            update={"kafka": KafkaSettings(bootstrap_servers=running.bootstrap_servers)}
        )
        served = served or served_frames_per_s(settings, cameras, model, logs, backlog)
        report: Report = {
            "machine": [
                {
                    "cores": os.cpu_count(),
                    "load average before": load_average,
                    "served frames/s": served,
                    "load": load or plan.load,
                    "broker": running.kind,
                }
            ],
            **plan.run(
                Bench(settings, cameras, model, logs, served * (load or plan.load), seconds or plan.seconds)
            ),
        }
    typer.echo(as_text(report))
    typer.echo(f"\nlogs of the consumers: {logs}")
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1))
    if not is_clean(report):
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)

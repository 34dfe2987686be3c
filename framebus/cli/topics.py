"""`framebus topics`: the topics an installation needs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from framebus.cli.completion import model_names
from framebus.environment import load_settings
from framebus.logs import configure_logs
from framebus.settings import TOPIC_NAME, Settings
from framebus.topics import is_for_frames

_MODEL = re.compile(r"[A-Za-z0-9._-]{1,100}")

app = typer.Typer(help="Create the topics that framebus needs.", no_args_is_help=True)


@app.callback()
def topics() -> None:
    """Create the topics that framebus needs."""


@app.command()
def create(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model whose detections topic is created; repeat it for more. By default the routes'.",
            autocompletion=model_names,
        ),
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(
            help="Topic of frames to create, such as one that a regular expression matches; repeat it."
        ),
    ] = None,
    routes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML file: which topics feed which models.")
    ] = None,
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of each topic.")] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=-1, help="Copies of each partition; -1: the broker's default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Create the topics of frames, dead letters, detections and control; leave those that exist."""
    from framebus.bus.kafka import KafkaAdmin
    from framebus.routes import given_routes, load_routes
    from framebus.topics import control_topic_specs, topic_specs

    wished = {"partitions": partitions, "replication_factor": replication_factor}
    settings = load_settings(
        topics={name: value for name, value in wished.items() if value is not None},
        **given_routes(None, routes),
    )
    configure_logs(settings.log, ends_by_itself=True)
    _check_names(settings, topic or (), model or ())
    admin = KafkaAdmin(settings.kafka)
    loaded = load_routes(settings)
    # Producers publish to this one, unless told otherwise; what matches a regular expression is the user's.
    frames = topic or loaded.topics or [settings.topics.frames]
    specs = [
        *topic_specs(settings.topics, *(model or loaded.models), frames=frames),
        *control_topic_specs(settings.topics),
    ]
    created = admin.create_topics(specs)
    existing = admin.partition_counts()
    if as_json:
        report = [
            {
                "topic": spec.name,
                "created": spec.name in created,
                "partitions": existing.get(spec.name, spec.partitions),
                "wanted_partitions": spec.partitions,
            }
            for spec in specs
        ]
        typer.echo(json.dumps(report, indent=2))
        return
    for spec in specs:
        if spec.name in created:
            typer.echo(f"created  {spec.name}  {spec.partitions} partitions")
            continue
        line = f"exists   {spec.name}  {existing.get(spec.name, 0)} partitions"
        if existing.get(spec.name, spec.partitions) != spec.partitions:
            # Adding partitions moves cameras to other ones and breaks their order: a person's choice.
            line += f" (wanted {spec.partitions}; change it with kafka-topics --alter)"
        typer.echo(line)


def _check_names(settings: Settings, topics: Sequence[str], models: Sequence[str]) -> None:
    """Refuses names that a broker would refuse, or that something else than frames has."""
    for name in topics:
        if not TOPIC_NAME.fullmatch(name):
            raise typer.BadParameter(
                f"{name!r} is no topic's name (1 to 249 of A-Z a-z 0-9 . _ -)", param_hint="--topic"
            )
        if not is_for_frames(name, settings.topics):
            raise typer.BadParameter(
                f"{name} is no topic of frames: framebus or Kafka publishes there", param_hint="--topic"
            )
    for name in models:
        if not _MODEL.fullmatch(name):
            raise typer.BadParameter(
                f"{name!r} is no model's name (1 to 100 of A-Z a-z 0-9 . _ -)", param_hint="--model"
            )

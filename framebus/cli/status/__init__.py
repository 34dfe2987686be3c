"""`framebus status`: one look at a running installation, as an onlooker."""

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framebus.cli.completion import model_names
from framebus.environment import load_settings
from framebus.errors import TopicMissingError
from framebus.logs import configure_logs
from framebus.routes import Routes, given_routes, group_id, load_routes
from framebus.settings import Settings
from framebus.topics import detections_topic

if TYPE_CHECKING:
    from framebus.bus.kafka import KafkaReader
    from framebus.cli.status.backlog import ModelStatus
    from framebus.cli.status.cameras import CamerasSeen

# Earlier detections that are read for the cameras they name, over all partitions of a topic.
_EARLIER_DETECTIONS = 4_000
_EARLIER_TIMEOUT_S = 5.0
_POLL_RECORDS = 100
_POLL_TIMEOUT_S = 0.2
_PIPED_COLUMNS = 400
_EXIT_CODE_OF_PROBLEMS = 3


def status(
    model: Annotated[
        str | None,
        typer.Option(help="Model that every frame goes through, as for consume.", autocompletion=model_names),
    ] = None,
    routes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML file of routes, as for consume.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=3_600, help="How long cameras are watched, in seconds.")
    ] = 3.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object (docs/operating.md).")
    ] = False,
) -> None:
    """Show models, consumers, lag and cameras; joins no group and commits nothing.

    Exit code 3 if a topic is missing, or a model has no consumer; 1 if no broker answers. Lag is no error.
    """
    import orjson
    from rich.console import Console

    from framebus.cli.status.display import show

    settings = load_settings(**given_routes(model, routes))
    configure_logs(settings.log, ends_by_itself=True)
    all_routes = load_routes(settings)
    with Console(stderr=True).status(f"watching for {seconds:g} s"):
        report = look(settings, all_routes, seconds)
    if as_json:
        typer.echo(orjson.dumps(report).decode())
    else:
        # Off a terminal rich takes 80 columns, and would break long names.
        show(report, Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS))
    if report["problems"]:
        raise typer.Exit(_EXIT_CODE_OF_PROBLEMS)


def look(settings: Settings, routes: Routes, seconds: float) -> dict[str, Any]:
    """Takes the report: what the broker tells now, and what is seen on the topics for some seconds.

    Raises:
        TransportError: No broker answers, or refuses us.
    """
    from framebus.bus.kafka import KafkaAdmin, KafkaCluster, KafkaReader
    from framebus.cli.status.backlog import model_status
    from framebus.cli.status.cameras import CamerasSeen

    existing = KafkaAdmin(settings.kafka).partition_counts()
    cluster = KafkaCluster(settings.kafka)
    frames = {model: routes.topics_of(model, existing) for model in routes.models}
    detections = [detections_topic(model) for model in routes.models]
    published = [*detections, settings.topics.dead]
    cameras = CamerasSeen(routes, settings.topics.dead)
    with closing(KafkaReader(settings.kafka)) as glance, closing(KafkaReader(settings.kafka)) as followed:
        for topic in detections:
            if topic in existing:
                share = max(_EARLIER_DETECTIONS // existing[topic], 1)
                cameras.remember(glance.read_newest([topic], share, _EARLIER_TIMEOUT_S))
        topics = {*published, *(topic for topics in frames.values() for topic in topics)}
        followed.follow(sorted(topics.intersection(existing)), from_start=False)
        watched_s, behind_s = _watch(followed, cameras, seconds)
        seen_at = datetime.now(UTC)
        models = [
            model_status(
                model,
                group_id(settings.kafka, model),
                {topic: existing[topic] for topic in frames[model] if topic in existing},
                cluster=cluster,
                followed=followed,
                glance=glance,
            )
            for model in routes.models
        ]
    return {
        "broker": settings.kafka.bootstrap_servers,
        "brokers": cluster.brokers(),
        "seconds": round(watched_s, 3),
        "behind_s": round(behind_s, 3),
        "models": [model.as_json() for model in models],
        "cameras": cameras.as_json(watched_s, seen_at),
        "problems": _problems(models, missing=sorted({*routes.topics, *published}.difference(existing))),
    }


def _watch(followed: "KafkaReader", cameras: "CamerasSeen", seconds: float) -> tuple[float, float]:
    """Counts what comes; returns how long that took, and how far behind reading was at its end."""
    started_s = time.monotonic()
    read = 0
    while (left_s := started_s + seconds - time.monotonic()) > 0:
        for record in followed.poll(_POLL_RECORDS, min(left_s, _POLL_TIMEOUT_S)):
            cameras.add(record, datetime.now(UTC))
            read += 1
    watched_s = time.monotonic() - started_s
    return watched_s, followed.unread() * watched_s / read if read else 0.0


def _problems(models: "Sequence[ModelStatus]", missing: Sequence[str]) -> list[str]:
    problems = [str(TopicMissingError(*missing))] if missing else []
    for model in models:
        if not model.topics and not missing:
            problems.append(f"model {model.model}: no topic matches its routes")
        if model.has_no_consumer:
            problems.append(f"model {model.model} has no consumer: its group {model.group_id} has no members")
    return problems

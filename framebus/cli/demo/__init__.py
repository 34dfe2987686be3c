"""`framebus demo`: everything at once, on this machine, with real video, a real model and a real broker."""

import json
import os
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from framebus import samples
from framebus.cli.completion import demo_model_names
from framebus.cli.models import fetch_with_progress
from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.errors import FramebusError, SampleError
from framebus.local_broker import BrokerKind, local_broker
from framebus.logs import configure_logs
from framebus.model_repository import ModelRepository
from framebus.settings import LogSettings, Settings

MODELS = ("coco", "pedestrian")
"""The first is taken where it can be had, else the second."""
VIDEOS = ("plaza", "street")

_PARTITIONS = 4
_MAX_BYTES_IN_MEMORY = 2 * 2**30

console = Console(stderr=True, highlight=False)


def demo(
    model: Annotated[
        str | None,
        typer.Option(
            autocompletion=demo_model_names,
            help="coco (80 classes, needs npm), pedestrian, or a model of yours; default: coco where npm is, "
            "else pedestrian.",
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="End after this many frames; default: at Ctrl-C.")
    ] = None,
    broker: Annotated[
        BrokerKind, typer.Option(help="Which one; auto: Apache Kafka where its jars are cached, else Tansu.")
    ] = BrokerKind.AUTO,
    output: Annotated[Path, typer.Option(help="Where annotated pictures and logs are written.")] = Path(
        "demo-output"
    ),
    open_dashboard: Annotated[
        bool, typer.Option("--open", help="Open the dashboard in a browser, once there is something to see.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON, as the last line.")
    ] = False,
) -> None:
    """Detect objects in real video that flows through Kafka: broker, cameras, consumer and a dashboard."""
    from framebus.bus.kafka import KafkaAdmin
    from framebus.cli.demo.run import DemoRun
    from framebus.topics import topic_specs

    # The programs have logs of their own; beside the table only what ends the demo is of interest.
    configure_logs(LogSettings(level="error", format="console"))
    settings = load_settings()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from error
    model = _bring_model(model, settings)

    def show(dashboard: str) -> None:
        console.print(f"dashboard: {dashboard}")
        if open_dashboard and not webbrowser.open(dashboard):
            console.print("there is no browser here that could be opened")

    videos = _fetch_videos(settings)
    with _broker(settings, broker) as (broker_name, bootstrap_servers):
        settings = load_settings(
            kafka={"bootstrap_servers": bootstrap_servers, "group_id": "framebus-demo"},
            topics={"partitions": _PARTITIONS},
        )
        KafkaAdmin(settings.kafka).create_topics(topic_specs(settings.topics, model))
        run = DemoRun(
            settings,
            model_name=model,
            # Broker, cameras and browser share this machine: the less it takes, the smoother they are.
            engine="auto" if model in samples.read_samples() else None,
            videos=videos,
            frames=frames,
            # Tansu keeps all that was published in memory.
            max_bytes=_MAX_BYTES_IN_MEMORY if broker_name == "tansu" else None,
            output=output,
            console=console,
            on_ready=show,
        )
        summary = {**run.run(stop_on_signals()), "broker": broker_name}
    console.print(f"annotated pictures and logs: {output}")
    typer.echo(json.dumps(summary) if as_json else _in_words(summary))
    unaccounted = summary["published"] - summary["processed"] - summary["dead"]
    if unaccounted > 0:
        raise FramebusError(
            f"{unaccounted} frames have neither detections nor a dead letter; see {output / 'consumer.log'}"
        )


def _bring_model(wanted: str | None, settings: Settings) -> str:
    """Fetches a sample model on first use; any other has to be there. Returns its name."""
    name = wanted or MODELS[0]
    if name in samples.read_samples():
        try:
            fetch_with_progress(samples.read_samples()[name], settings)
        except SampleError as error:
            if wanted is not None:
                raise
            console.print(f"without the model {name}: {error}")
            return _bring_model(MODELS[1], settings)
    ModelRepository(settings.models_dir).open(name)
    return name


def _fetch_videos(settings: Settings) -> dict[str, Path]:
    """Brings the videos on first use, as far as they can be had; returns the video of each camera."""
    videos = {}
    failure: SampleError | None = None
    for name in VIDEOS:
        try:
            videos[name] = fetch_with_progress(samples.read_samples()[name], settings)
        except SampleError as error:
            console.print(f"without the video {name}: {error}")
            failure = error
    if failure is not None and not videos:
        raise failure
    if len(videos) == 1:  # two cameras are wanted, and both may look at the same street
        [(name, path)] = videos.items()
        videos = {f"{name}-1": path, f"{name}-2": path}
    return videos


@contextmanager
def _broker(settings: Settings, kind: BrokerKind) -> Iterator[tuple[str, str]]:
    if "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS" in os.environ:
        yield "external", settings.kafka.bootstrap_servers
        return
    with local_broker(settings, kind, report=console.print) as broker:
        console.print(f"broker: {broker.kind} on {broker.bootstrap_servers}")
        yield broker.kind.value, broker.bootstrap_servers


def _in_words(summary: dict[str, Any]) -> str:
    return (
        f"{summary['published']} frames published, {summary['processed']} processed, "
        f"{summary['dropped']} dropped, {summary['dead']} dead letters; "
        f"{summary['detections']} detections in {summary['seconds']} s"
    )

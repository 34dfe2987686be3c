"""`framebus bench engine`: what one image costs in an engine, without bus, decoder or anything else."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from framebus.cli.bench import options
from framebus.cli.bench.bare import BareSession
from framebus.cli.bench.child import Child
from framebus.cli.bench.footage import read_footage, video_or_default
from framebus.cli.bench.machine import cores, describe_machine
from framebus.cli.bench.report import Plot, Report, Row, tell, tell_left_out
from framebus.cli.bench.rounds import Case, Measured, Progress, measure_in_turn, ratios, summary
from framebus.cli.bench.variants import variant_models
from framebus.cli.bench.window import call_cost
from framebus.environment import load_settings
from framebus.errors import ModelError
from framebus.model_repository import ModelRepository, StoredModel

RAW = "raw"
"""The case that is no engine: `session.run`."""

BATCHES = (1, 2, 4, 8, 16)
SHORT_BATCHES = (1, 8)
"""The sizes that `session.run` is compared at, and no more."""

SECONDS, SHORT_SECONDS = 1.0, 0.3
_COLUMNS = {
    "model": "",
    "case": "",
    "engine": "",
    "threads": "d",
    "calls": "d",
    "batch": "d",
    "ms_per_image": ".1f",
    "fps": ".1f",
    "cpu_ms_per_image": ".1f",
    "vs_raw_b1": ".2f",
    "vs_raw_b8": ".2f",
}
_PLOTS = (
    Plot(
        figure="ms_per_image",
        label="ms per image",
        along="batch",
        along_label="images per call",
        series=("case", "calls"),
        panels=("model", "threads"),
        is_log=True,
    ),
)


def engine(
    model: options.ModelOption = None,
    video: options.VideoOption = None,
    rounds: options.RoundsOption = None,
    seconds: options.SecondsOption = None,
    json_file: options.JsonOption = None,
    plot_file: options.PlotOption = None,
    short: options.ShortOption = False,
) -> None:
    """Measure ms per image by engine, batch size and threads, against session.run on the same graph.

    Frames are decoded beforehand. The case raw is session.run with TensorFlow's own defaults.

    engine: what runs the case; auto picks one
    threads: cores that it may use
    calls: calls at once
    batch: images per call
    vs_raw_b1, vs_raw_b8: how many times the fps of raw at batch 1 and 8
    """
    options.check_outputs(json_file, plot=plot_file)
    options.need("tensorflow")
    settings = load_settings()
    models = options.models_or_default(model, settings)
    plan = Plan(
        video=video_or_default(video, settings),
        short=short,
        rounds=options.rounds_or_default(rounds, short),
        seconds=seconds or (SHORT_SECONDS if short else SECONDS),
    )
    read_footage(plan.video, frames=1)  # so that a wrong file is told of before anything is loaded
    machine = describe_machine()
    report = Report("ms per image by engine", _COLUMNS, plots=_PLOTS)
    with (
        tempfile.TemporaryDirectory(prefix="framebus-bench-") as folder,
        options.progress_bar("engine") as progress,
    ):
        for name in models:
            stored = ModelRepository(settings.models_dir).open(name)
            variants = variant_models(settings.models_dir, name, Path(folder))
            for threads in plan.threads:
                report.rows.extend(_measure(stored, variants, Path(folder), threads, plan, progress))
    report.publish(machine, json_file, plot_file)


@dataclass(frozen=True, slots=True)
class Plan:
    """How each model is measured.

    Attributes:
        video: Where the frames come from.
        short: Fewer batch sizes, all cores only, and as many calls at once as the engine takes only.
        rounds: How often everything is measured, in turn.
        seconds: How long one measurement takes.
    """

    video: Path
    short: bool
    rounds: int
    seconds: float

    @property
    def batches(self) -> Sequence[int]:
        """Images per call."""
        return SHORT_BATCHES if self.short else BATCHES

    @property
    def threads(self) -> Sequence[int]:
        """Cores that a process may use."""
        return [cores()] if self.short else sorted({1, cores()})

    def calls(self, threads: int, most: int) -> Sequence[int]:
        """Calls at once on so many cores, for an engine that takes this many at most."""
        if threads < cores():  # there they would only wait for each other
            return [1]
        return [most] if self.short else sorted({1, most})


@dataclass(frozen=True, slots=True)
class Subject:
    """What one row tells of.

    Attributes:
        case: The variant of the model, or `RAW`.
        calls: Calls at once.
        batch: Images per call.
    """

    case: str
    calls: int
    batch: int

    def __str__(self) -> str:
        return f"{self.case}, batch {self.batch}" + (
            f", {self.calls} calls at once" if self.calls > 1 else ""
        )


def _measure(
    model: StoredModel,
    variants: Mapping[str, str],
    models_dir: Path,
    threads: int,
    plan: Plan,
    progress: Progress,
) -> list[Row]:
    """Measures the variants of one model, and `session.run`, on so many cores."""
    cases: dict[Subject, Case] = {}
    engines: dict[str, dict[str, str | None]] = {}
    with ExitStack() as loaded:
        progress(0, 1, f"loading {model.name}")
        raw = loaded.enter_context(BareSession(model, plan.video, cores=threads))
        for batch in plan.batches:
            subject = Subject(RAW, 1, batch)
            cases[subject] = Case(str(subject), partial(raw.measure, batch, plan.seconds))
        for case, name in variants.items():
            progress(0, 1, f"loading {name}")
            child = Child(f"{__name__}:LoadedEngine", models_dir, name, plan.video, cores=threads)
            try:
                loaded.enter_context(child)
            except ModelError as error:
                tell_left_out(f"{case} of {model.name}", error)
                continue
            engines[case] = runs = child.ask("what_runs")
            if runs["fallback"] is not None:
                tell(f"{case} of {model.name} runs on {runs['engine']}: {runs['fallback']}")
            for calls, batch in product(plan.calls(threads, child.ask("calls_at_once")), plan.batches):
                subject = Subject(case, calls, batch)
                cases[subject] = Case(str(subject), partial(child.ask, "measure", batch, calls, plan.seconds))
        measured = dict(zip(cases, measure_in_turn(list(cases.values()), plan.rounds, progress), strict=True))
    raw_b1, raw_b8 = (measured[Subject(RAW, 1, batch)] for batch in SHORT_BATCHES)
    return [
        {
            "model": model.name,
            "case": subject.case,
            **engines.get(subject.case, {}),
            "threads": threads,
            "calls": subject.calls,
            "batch": subject.batch,
            **_figures(one, raw_b1, raw_b8),
        }
        for subject, one in measured.items()
    ]


def _figures(measured: Measured, raw_b1: Measured, raw_b8: Measured) -> dict[str, float]:
    values = {name: measured.values[name] for name in ("ms_per_image", "fps", "cpu_ms_per_image")}
    values["vs_raw_b1"] = ratios(measured, raw_b1, "fps")
    values["vs_raw_b8"] = ratios(measured, raw_b8, "fps")
    return {name: value for figure in values for name, value in summary(figure, values[figure]).items()}


class LoadedEngine:
    """What the process of one engine has: the engine, loaded, and the frames.

    Args:
        models_dir: Where the model lies.
        name: The model's name.
        video: Where the frames come from.
    """

    def __init__(self, models_dir: Path, name: str, video: Path) -> None:
        from consumer.engines.engine import create_engine

        model = ModelRepository(models_dir).open(name)
        self._engine = create_engine(model, load_settings(models_dir=models_dir))
        self._engine.load()
        self._least_score = model.thresholds.confidence / 100
        self._images = read_footage(video).images

    def what_runs(self) -> dict[str, str | None]:
        """The engine and precision that run the model, and if they are not those that were asked for, why."""
        report = self._engine.report
        return {"engine": report.engine, "precision": report.precision, "fallback": report.fallback}

    def calls_at_once(self) -> int:
        """How many the engine takes."""
        return self._engine.concurrency

    def measure(self, batch: int, calls: int, seconds: float) -> dict[str, float]:
        """Calls the engine with batches of this many frames for so long, from so many threads.

        Returns:
            The figures of `BareSession.measure`.
        """
        starts = range(0, len(self._images) - batch + 1, batch)
        batches = [self._images[start : start + batch] for start in starts]

        def detect(number: int) -> None:
            self._engine.detect(batches[number % len(batches)], self._least_score)

        return call_cost(detect, seconds, calls_at_once=calls).per_image(batch)

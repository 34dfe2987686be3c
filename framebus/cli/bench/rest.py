"""`framebus bench rest`: requests/s and how long each takes, against bare TensorFlow."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from framebus.cli.bench import options
from framebus.cli.bench.bare import BareSession
from framebus.cli.bench.cases import CaseOption, checked_cases, wanted_variants
from framebus.cli.bench.child import Child
from framebus.cli.bench.footage import read_footage, video_or_default
from framebus.cli.bench.machine import describe_machine
from framebus.cli.bench.program import Program
from framebus.cli.bench.report import Plot, Report, Row, tell, tell_left_out
from framebus.cli.bench.rest_clients import RestClients
from framebus.cli.bench.rounds import Case, Measured, Progress, measure_in_turn, ratios, summary
from framebus.cli.bench.variants import VARIANTS, variant_models
from framebus.environment import load_settings
from framebus.errors import ModelError
from framebus.local_broker.ports import LOOPBACK, free_ports
from framebus.model_repository import ModelRepository, StoredModel

CONCURRENCIES = (1, 8, 40)
SHORT_CONCURRENCIES = (1, 40)
RAW = {"raw-b1": 1, "raw-b8": 8}
"""The cases that are no REST: `session.run`, with so many decoded frames a call."""

SECONDS, SHORT_SECONDS = 4.0, 1.0

# Tokens and limits that the user has set for an API of his own.
_NOT_OURS = ("FRAMEBUS_API__", "FRAMEBUS_MODELS_DIR")
_COLUMNS = {
    "model": "",
    "case": "",
    "concurrency": "d",
    "requests_per_s": ".1f",
    "p50_ms": ".1f",
    "p99_ms": ".1f",
    "cpu_ms_per_request": ".1f",
    "client_cpu_ms_per_request": ".2f",
    "vs_raw_b1": ".2f",
    "vs_raw_b8": ".2f",
}
_PLOTS = tuple(
    Plot(figure, label, "concurrency", "requests at once", series=("case",), panels=("model",), is_log=True)
    for figure, label in (("requests_per_s", "requests/s"), ("p99_ms", "p99 in ms"))
)


def rest(
    model: options.ModelOption = None,
    case: CaseOption = None,
    video: options.VideoOption = None,
    rounds: options.RoundsOption = None,
    seconds: options.SecondsOption = None,
    json_file: options.JsonOption = None,
    plot_file: options.PlotOption = None,
    short: options.ShortOption = False,
) -> None:
    """Measure requests/s, p50 and p99 of the REST API at 1, 8 and 40 requests at once.

    Each case is a `framebus serve` of its own, with default settings; one that is idle takes 1 % of a core
    from the others. Clients post JPEG frames to /models/{model}/predict over connections that stay open.
    raw-b1 and raw-b8 are session.run with 1 and 8 decoded frames a call, which is their concurrency;
    vs_raw_b1 and vs_raw_b8 are how many times its frames per second.

    cpu_ms_per_request: CPU time of the server. client_cpu_ms_per_request: of the clients, which share the
    cores with it. Without --case, all of them.
    """
    options.check_outputs(json_file, plot=plot_file)
    options.need("tensorflow", "psutil")
    cases = checked_cases(case, list(VARIANTS))
    settings = load_settings()
    models = options.models_or_default(model, settings)
    plan = Plan(
        video=video_or_default(video, settings),
        concurrencies=SHORT_CONCURRENCIES if short else CONCURRENCIES,
        rounds=options.rounds_or_default(rounds, short),
        seconds=seconds or (SHORT_SECONDS if short else SECONDS),
    )
    read_footage(plan.video, frames=1)  # so that a wrong file is told of before anything is loaded
    machine = describe_machine()
    report = Report("REST: requests/s and latency", _COLUMNS, plots=_PLOTS)
    with (
        tempfile.TemporaryDirectory(prefix="framebus-bench-") as folder,
        options.progress_bar("rest") as progress,
    ):
        for name in models:
            stored = ModelRepository(settings.models_dir).open(name)
            variants = wanted_variants(variant_models(settings.models_dir, name, Path(folder)), cases, name)
            report.rows.extend(_measure(stored, variants, Path(folder), plan, progress))
    report.publish(machine, json_file, plot_file)


@dataclass(frozen=True, slots=True)
class Plan:
    """How each model is measured.

    Attributes:
        video: Where the frames come from.
        concurrencies: Requests at once.
        rounds: How often everything is measured, in turn.
        seconds: How long one measurement takes.
    """

    video: Path
    concurrencies: Sequence[int]
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Subject:
    """What one row tells of.

    Attributes:
        case: The variant of the model, or one of `RAW`.
        concurrency: Requests at once, or frames a call.
    """

    case: str
    concurrency: int

    def __str__(self) -> str:
        return f"{self.case}, {self.concurrency} at once"


def _measure(
    model: StoredModel, variants: Mapping[str, str], models_dir: Path, plan: Plan, progress: Progress
) -> list[Row]:
    """Measures the variants of one model, and `session.run`."""
    cases: dict[Subject, Case] = {}
    engines: dict[str, Mapping[str, str | None]] = {}
    with ExitStack() as loaded:
        progress(0, 1, f"loading {model.name}")
        raw = loaded.enter_context(BareSession(model, plan.video))
        for case, batch in RAW.items():
            subject = Subject(case, batch)
            cases[subject] = Case(str(subject), partial(_session_run, raw, batch, plan.seconds))
        clients = loaded.enter_context(Child(f"{RestClients.__module__}:{RestClients.__name__}", plan.video))
        for case, name in variants.items():
            progress(0, 1, f"loading {name}")
            try:
                server = loaded.enter_context(serving(models_dir, name))
            except ModelError as error:
                tell_left_out(f"{case} of {model.name}", error)
                continue
            engines[case] = server.runs
            if server.runs["fallback"] is not None:
                tell(f"{case} of {model.name} runs on {server.runs['engine']}: {server.runs['fallback']}")
            for concurrency in plan.concurrencies:
                subject = Subject(case, concurrency)
                arguments = (server.port, name, concurrency, plan.seconds, server.pid)
                cases[subject] = Case(str(subject), partial(clients.ask, "measure", *arguments))
        measured = dict(zip(cases, measure_in_turn(list(cases.values()), plan.rounds, progress), strict=True))
    raws = {f"vs_{case.replace('-', '_')}": measured[Subject(case, batch)] for case, batch in RAW.items()}
    return [
        {
            "model": model.name,
            "case": subject.case,
            **engines.get(subject.case, {}),
            "concurrency": subject.concurrency,
            **_figures(one, raws),
        }
        for subject, one in measured.items()
    ]


def _session_run(raw: BareSession, batch: int, seconds: float) -> dict[str, float]:
    return {"requests_per_s": raw.frames_per_s(batch, seconds)}


def _figures(measured: Measured, raws: Mapping[str, Measured]) -> dict[str, float]:
    values = dict(measured.values)
    for name, raw in raws.items():
        values[name] = ratios(measured, raw, "requests_per_s")
    return {name: value for figure in values for name, value in summary(figure, values[figure]).items()}


@dataclass(frozen=True, slots=True)
class Server:
    """A `framebus serve` that has loaded its model.

    Attributes:
        pid: Its process.
        port: Of its REST API, on loopback.
        runs: The `engine` that runs the model, and its `precision`; `fallback` is why it is not the one that
            was asked for, if it is not.
    """

    pid: int
    port: int
    runs: Mapping[str, str | None]


@contextmanager
def serving(models_dir: Path, model: str) -> Iterator[Server]:
    """Serves a model for the time of the block.

    Raises:
        ModelError: The server cannot load it; says why.
        FramebusError: The server ended, or was not ready in time.
    """
    [port] = free_ports(1)
    settings = {
        "FRAMEBUS_API__HOST": LOOPBACK,
        "FRAMEBUS_API__PORT": str(port),
        "FRAMEBUS_MODELS_DIR": str(models_dir.resolve()),
    }
    with Program("framebus serve", ["serve"], port=port, settings=settings, without=_NOT_OURS) as program:
        _data(program, f"/models/{model}/load")
        [runs] = _data(program, "/models")["details"][model]["workers"].values()
        yield Server(program.pid, port, {name: runs[name] for name in ("engine", "precision", "fallback")})


def _data(program: Program, path: str) -> Any:
    """What the API answers; raises ModelError if it has no good answer."""
    if (text := program.get(path)) is None:
        raise program.failure(f"did not answer {path}")
    # It answers 200 to everything, as the old service did.
    if not (answer := json.loads(text))["success"]:
        raise ModelError(answer["error"])
    return answer["data"]

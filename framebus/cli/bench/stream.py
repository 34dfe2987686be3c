"""`framebus bench stream`: frames/s through a real broker, against bare TensorFlow and the limit."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from framebus.cli.bench import options
from framebus.cli.bench.backlog import Backlog, create_topics
from framebus.cli.bench.bare import BareSession
from framebus.cli.bench.cases import CaseOption, checked_cases, wanted_variants
from framebus.cli.bench.child import Child
from framebus.cli.bench.clients import BareClients, mean_bytes
from framebus.cli.bench.footage import read_footage, video_or_default
from framebus.cli.bench.limit import PARTS, decode_ms, limit_fps, load_engine, what_runs
from framebus.cli.bench.machine import broker_in_words, cores, describe_machine
from framebus.cli.bench.naive import NaiveLoop
from framebus.cli.bench.own_broker import OwnBroker, OwnBrokerOption, own_broker
from framebus.cli.bench.report import Plot, Report, Row, tell_left_out
from framebus.cli.bench.rounds import Case, Measured, Progress, measure_in_turn, ratios, summary
from framebus.cli.bench.throughput import WARM_UP_FRAMES, throughput
from framebus.cli.bench.variants import VARIANTS, variant_models
from framebus.environment import load_settings
from framebus.errors import ModelError
from framebus.local_broker import BrokerKind
from framebus.model_repository import ModelRepository, StoredModel
from framebus.topics import detections_topic

RAW, NAIVE = "raw-b8", "naive"
RAW_BATCH = 8

SECONDS, SHORT_SECONDS = 8.0, 4.0

# Of the time that a consumer is measured: what runs alone has less to settle.
_REFERENCE_SHARE, _BUS_SHARE, _PART_SHARE = 0.4, 0.3, 0.15
# Times the frames of `session.run`, for the first backlog.
_FASTEST = 4
_DECODING = "decoding"

_COLUMNS = {
    "model": "",
    "case": "",
    "engine": "",
    "fps": ".1f",
    "cpu_ms_per_frame": ".1f",
    "broker_cpu_ms_per_frame": ".2f",
    "vs_raw_b8": ".2f",
    "vs_naive": ".2f",
    "vs_limit": ".2f",
    "limit_fps": ".1f",
    "decode_ms": ".2f",
    "engine_ms": ".1f",
    "broker_ms": ".2f",
    "clients_ms": ".2f",
}
_PLOTS = (
    Plot("fps", "frames/s", "case", f"{RAW}: session.run on decoded frames, no bus"),
    Plot("vs_limit", "share of the limit", "case", "limit: cores / CPU time of the parts, each alone"),
)


def stream(
    model: options.ModelOption = None,
    case: CaseOption = None,
    video: options.VideoOption = None,
    rounds: options.RoundsOption = None,
    seconds: options.SecondsOption = None,
    broker: OwnBrokerOption = BrokerKind.AUTO,
    json_file: options.JsonOption = None,
    plot_file: options.PlotOption = None,
    short: options.ShortOption = False,
) -> None:
    """Measure frames/s and CPU ms per frame through a real broker: JPEG in, detections acknowledged.

    Each measurement starts `framebus consume` in a new group on a backlog of
    frames, so that no camera takes time meanwhile, and counts for --seconds
    what the broker acknowledged. The case raw-b8 is session.run at batch 8 on
    decoded frames; naive is one process without bus: Pillow, session.run on
    one picture, json. Both, and the parts, take a share of --seconds.

    engine: what runs the case; auto picks one
    cpu_ms_per_frame: CPU time of the consumer
    broker_cpu_ms_per_frame: CPU time of the broker
    vs_raw_b8, vs_naive, vs_limit: times the fps of raw-b8, naive, the limit
    limit_fps: cores / (decode_ms + engine_ms + broker_ms + clients_ms)
    decode_ms, engine_ms, broker_ms, clients_ms: CPU time per frame of each
    part alone; of the last two at the rate of the case
    """
    options.check_outputs(json_file, plot=plot_file)
    options.need("tensorflow", "psutil")
    cases = checked_cases(case, list(VARIANTS))
    settings = load_settings()
    models = options.models_or_default(model, settings)
    video = video_or_default(video, settings)
    jpegs = read_footage(video).jpegs
    report = Report("frames/s through Kafka", _COLUMNS, plots=_PLOTS)
    with (
        tempfile.TemporaryDirectory(prefix="framebus-bench-") as folder,
        own_broker(settings, broker, Path(folder)) as own,
        options.progress_bar("stream") as progress,
    ):
        machine = describe_machine(broker_in_words(own.kind))
        create_topics(own.settings)
        stage = Stage(
            broker=own,
            video=video,
            jpegs=jpegs,
            backlog=Backlog(own.settings, jpegs),
            rounds=options.rounds_or_default(rounds, short),
            seconds=seconds or (SHORT_SECONDS if short else SECONDS),
        )
        for name in models:
            variants = variant_models(settings.models_dir, name, Path(folder))
            stored = ModelRepository(settings.models_dir).open(name)
            chosen = wanted_variants(variants, cases, name)
            report.rows.extend(_measure(stored, chosen, stage, progress))
    report.publish(machine, json_file, plot_file)


@dataclass(frozen=True, slots=True)
class Stage:
    """What all models are measured with.

    Attributes:
        broker: Runs, and has the variants of all models in its models directory.
        video: Where the frames come from.
        jpegs: The frames, as cameras publish them.
        backlog: Grows as needed.
        rounds: How often everything is measured, in turn.
        seconds: How long a consumer is measured; other measurements take a part of it.
    """

    broker: OwnBroker
    video: Path
    jpegs: Sequence[bytes]
    backlog: Backlog
    rounds: int
    seconds: float


def _measure(model: StoredModel, variants: Mapping[str, str], stage: Stage, progress: Progress) -> list[Row]:
    """Measures the variants of one model, what they are compared with, and their parts."""
    with ExitStack() as loaded:
        progress(0, 1, f"loading {model.name}")
        cases = _references(model, stage, loaded)
        clients = loaded.enter_context(
            Child(f"{BareClients.__module__}:{BareClients.__name__}", stage.broker.settings, stage.broker.pid)
        )
        parts: list[Case] = []
        runs: dict[str, dict[str, str | None]] = {}
        for case, name in variants.items():
            progress(0, 1, f"loading {name}")
            engine = load_engine(stage.broker.settings.models_dir, name, stage.video)
            try:
                loaded.enter_context(engine)
            except ModelError as error:
                tell_left_out(f"{case} of {model.name}", error)
                continue
            runs[case] = what_runs(engine, name)
            whole = _Whole(stage, name)
            cases.append(Case(case, whole.measure))
            part_s = stage.seconds * _PART_SHARE
            parts.append(Case(_engine_of(case), partial(engine.ask, "at_its_best", part_s)))
            parts.append(Case(_bus_of(case), partial(_bus, clients, whole)))
        decoding = partial(decode_ms, stage.jpegs, stage.seconds * _PART_SHARE, stage.broker.settings)
        cases += [*parts, Case(_DECODING, decoding)]
        measured = measure_in_turn(cases, stage.rounds, progress)
    found = rows({one.case.name: one for one in measured})
    return [{"model": model.name, "case": case, **runs.get(case, {}), **row} for case, row in found.items()]


def _references(model: StoredModel, stage: Stage, loaded: ExitStack) -> list[Case]:
    """`session.run` and the naive loop; the first says how large a backlog will be needed."""
    raw = loaded.enter_context(BareSession(model, stage.video))
    arguments = (model.folder.parent, model.name, stage.video)
    naive = loaded.enter_context(Child(f"{NaiveLoop.__module__}:{NaiveLoop.__name__}", *arguments))
    seconds = stage.seconds * _REFERENCE_SHARE

    def session_run() -> dict[str, float]:
        figures = raw.measure(RAW_BATCH, seconds)
        return {"fps": figures["fps"], "cpu_ms_per_frame": figures["cpu_ms_per_image"]}

    wanted_s = stage.seconds * _FASTEST
    stage.backlog.grow_to(math.ceil(session_run()["fps"] * wanted_s) + WARM_UP_FRAMES)
    return [Case(RAW, session_run), Case(NAIVE, partial(naive.ask, "measure", seconds))]


class _Whole:
    """The stream of one variant, as a case; remembers how fast it was."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage, self.name = stage, name
        self.fps = 0.0

    def measure(self) -> dict[str, float]:
        figures = throughput(self.stage.broker, self.name, self.stage.backlog, self.stage.seconds)
        self.fps = figures["fps"]
        return figures


def _bus(clients: Child, whole: _Whole) -> Mapping[str, float]:
    """What the bus costs at the rate that a stream had; to come after that."""
    stage = whole.stage
    size = mean_bytes(stage.broker.settings, [detections_topic(whole.name)])
    figures: dict[str, float] = clients.ask("measure", whole.fps, stage.seconds * _BUS_SHARE, size)
    return figures


def rows(measured: Mapping[str, Measured]) -> dict[str, Row]:
    """Makes a row of each case that has frames per second; the others are parts.

    Args:
        measured: By the cases' names.
    """
    found: dict[str, Row] = {}
    for case, one in measured.items():
        if "fps" not in one.values:
            continue  # a part
        values = {**one.values, "vs_raw_b8": ratios(one, measured[RAW], "fps")}
        values["vs_naive"] = ratios(one, measured[NAIVE], "fps")
        if (engine := measured.get(_engine_of(case))) is not None:
            parts = engine.values | measured[_DECODING].values | measured[_bus_of(case)].values
            limits = [limit_fps(ms, cores()) for ms in zip(*(parts[name] for name in PARTS), strict=True)]
            values |= {**parts, "limit_fps": limits}
            values["vs_limit"] = [fps / limit for fps, limit in zip(one.values["fps"], limits, strict=True)]
        row: dict[str, Any] = {}
        for name, of_rounds in values.items():
            row |= summary(name, of_rounds)
        found[case] = row
    return found


def _bus_of(case: str) -> str:
    return f"bus of {case}"


def _engine_of(case: str) -> str:
    return f"engine of {case}"

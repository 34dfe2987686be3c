"""`framebus bench latency`: how old a frame is when its detections are acknowledged, at a constant load."""

import math
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from framebus.cli.bench import options
from framebus.cli.bench.acknowledged import Acknowledged, Answer
from framebus.cli.bench.backlog import Backlog, create_topics
from framebus.cli.bench.camera_load import CameraLoad
from framebus.cli.bench.cases import CaseOption, checked_cases, wanted_variants
from framebus.cli.bench.child import Child
from framebus.cli.bench.consumer_process import ConsumerProcess
from framebus.cli.bench.footage import read_footage, video_or_default
from framebus.cli.bench.limit import load_engine, what_runs
from framebus.cli.bench.machine import broker_in_words, describe_machine
from framebus.cli.bench.own_broker import OwnBroker, OwnBrokerOption, own_broker
from framebus.cli.bench.report import Plot, Report, Row, tell_left_out
from framebus.cli.bench.rounds import Case, Measured, Progress, measure_in_turn, summary
from framebus.cli.bench.throughput import throughput
from framebus.cli.bench.variants import variant_models
from framebus.environment import load_settings
from framebus.errors import ModelError
from framebus.local_broker import BrokerKind

LOADS = (0.25, 0.5, 0.75, 0.9)
"""Shares of the throughput."""

SHORT_LOADS = (0.5,)
DEFAULT_CASE = "auto-f32"
SECONDS, SHORT_SECONDS = 10.0, 4.0
WARM_UP_S = 2.0
"""So long the load is on before it counts."""

_ENGINE_SHARE = 0.2
_FIRST_BACKLOG_FRAMES = 1_000
_LEAST_FRAMES = 20
_PERCENTILES = {"p50_ms": 50, "p90_ms": 90, "p99_ms": 99}
_COLUMNS = {
    "model": "",
    "case": "",
    "engine": "",
    "load": ".2f",
    "offered_fps": ".1f",
    "fps": ".1f",
    "p50_ms": ".0f",
    "p90_ms": ".0f",
    "p99_ms": ".0f",
    "image_ms": ".1f",
    "p99_over_image": ".1f",
    "decode_ms": ".1f",
    "wait_ms": ".1f",
    "infer_ms": ".1f",
}
_PLOTS = tuple(
    Plot(name, f"{name.removesuffix('_ms')}, ms", "load", "share of the throughput", ("model", "case"))
    for name in _PERCENTILES
)


def latency(
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
    """Measure p50, p90 and p99 from capture to acknowledged detections, at 25 to 90 % of the throughput.

    The throughput is measured first, as `framebus bench stream` does. Then 8
    cameras publish at a constant rate, from a process of their own. A frame
    counts as captured when it was due, even if its camera was late, and as
    acknowledged when the broker appended its detections, to the millisecond.
    (Tansu does not tell; there it is when the consumer handed them to its
    producer.) Without --case, auto-f32 is measured.

    engine: what runs the case; auto picks one
    load: share of the throughput
    offered_fps: frames per second that were due
    image_ms: one picture alone in the engine, measured in the same rounds
    decode_ms, wait_ms, infer_ms: what the median frame spent where in the
    consumer; the rest is the bus
    """
    options.check_outputs(json_file, plot=plot_file)
    options.need("tensorflow", "psutil")
    cases = checked_cases(case, [DEFAULT_CASE])
    settings = load_settings()
    models = options.models_or_default(model, settings)
    video = video_or_default(video, settings)
    report = Report("ms from capture to acknowledged detections", _COLUMNS, plots=_PLOTS)
    with (
        tempfile.TemporaryDirectory(prefix="framebus-bench-") as folder,
        own_broker(settings, broker, Path(folder)) as own,
        options.progress_bar("latency") as progress,
    ):
        machine = describe_machine(broker_in_words(own.kind))
        create_topics(own.settings)
        stage = Stage(
            broker=own,
            video=video,
            backlog=Backlog(own.settings, read_footage(video).jpegs),
            loads=SHORT_LOADS if short else LOADS,
            rounds=options.rounds_or_default(rounds, short),
            seconds=seconds or (SHORT_SECONDS if short else SECONDS),
        )
        stage.backlog.grow_to(_FIRST_BACKLOG_FRAMES)
        for name in models:
            variants = variant_models(settings.models_dir, name, Path(folder))
            for wanted, variant in wanted_variants(variants, cases, name).items():
                try:
                    rows = _measure(variant, stage, progress)
                except ModelError as error:
                    tell_left_out(f"{wanted} of {name}", error)
                    continue
                report.rows.extend({"model": name, "case": wanted, **row} for row in rows)
    report.publish(machine, json_file, plot_file)


@dataclass(frozen=True, slots=True)
class Stage:
    """What all models are measured with.

    Attributes:
        broker: Runs, and has the variants of all models in its models directory.
        video: Where the frames come from.
        backlog: Grows as needed.
        loads: Shares of the throughput.
        rounds: How often everything is measured, in turn.
        seconds: How long each load is measured.
    """

    broker: OwnBroker
    video: Path
    backlog: Backlog
    loads: Sequence[float]
    rounds: int
    seconds: float


def _measure(name: str, stage: Stage, progress: Progress) -> list[Row]:
    """Measures one variant of a model, by its name, at all loads."""
    own = stage.broker
    topics = own.settings.topics.model_copy(update={"frames": f"live-{name}"})
    settings = own.settings.model_copy(update={"topics": topics})
    with ExitStack() as loaded:
        progress(0, 1, f"loading {name}")
        engine = loaded.enter_context(load_engine(own.settings.models_dir, name, stage.video))
        runs = what_runs(engine, name)
        create_topics(settings)
        acknowledged = Acknowledged(own, name)
        progress(0, 1, f"throughput of {name}")
        found_fps = throughput(own, name, stage.backlog, stage.seconds)["fps"]
        cameras = loaded.enter_context(
            Child(f"{CameraLoad.__module__}:{CameraLoad.__name__}", settings, stage.video)
        )
        consumer = loaded.enter_context(ConsumerProcess(own, name, topics.frames))
        live = Live(cameras, consumer, acknowledged)
        cases = [
            Case(
                f"{load:.0%} of {found_fps:.0f} frames/s",
                partial(live.measure, load * found_fps, stage.seconds),
            )
            for load in stage.loads
        ]
        alone = Case(f"{name} alone", partial(engine.ask, "one_image", stage.seconds * _ENGINE_SHARE))
        *at_loads, one_image = measure_in_turn([*cases, alone], stage.rounds, progress)
    return [
        {**runs, "load": load, "throughput_fps": found_fps, **_row(one, one_image.values["image_ms"])}
        for load, one in zip(stage.loads, at_loads, strict=True)
    ]


class Live:
    """Cameras that publish, a consumer that works, and what it has published.

    Args:
        cameras: The process of `CameraLoad`.
        consumer: Reads their topic.
        acknowledged: What it publishes.
    """

    def __init__(self, cameras: Child, consumer: ConsumerProcess, acknowledged: Acknowledged) -> None:
        self._cameras = cameras
        self._consumer = consumer
        self._acknowledged = acknowledged
        self._frames = 0

    def measure(self, offered_fps: float, seconds: float) -> dict[str, float]:
        """Puts a load on, and measures it for so long, once it has been on for a while."""
        run = uuid.uuid4().hex
        left_out = math.ceil(offered_fps * WARM_UP_S)
        frames = left_out + max(math.ceil(offered_fps * seconds), _LEAST_FRAMES)
        first_s = self._cameras.ask("publish", run, offered_fps, frames)
        self._frames += frames
        self._consumer.wait_for(self._frames)
        answers = self._acknowledged.read(run, frames)[left_out:]
        return {"offered_fps": offered_fps, **figures(answers, first_s, offered_fps)}


def figures(answers: Sequence[Answer], first_s: float, offered_fps: float) -> dict[str, float]:
    """What the answers to frames that came at a constant rate say.

    Args:
        answers: Of frames that followed each other.
        first_s: When frame 0 was due, in seconds since 1970.
        offered_fps: Frames per second that were due.

    Returns:
        fps that were acknowledged; p50_ms, p90_ms and p99_ms of the latency; and medians of wait_ms,
        decode_ms and infer_ms.
    """
    import numpy as np

    at_ms = np.array([answer.at_ms for answer in answers])
    due_ms = 1000 * (first_s + np.array([answer.frame for answer in answers]) / offered_fps)
    percentiles = np.percentile(at_ms - due_ms, list(_PERCENTILES.values()))
    parts = {
        name: float(np.median([getattr(answer, name) for answer in answers]))
        for name in ("wait_ms", "decode_ms", "infer_ms")
    }
    return {
        "fps": float((len(answers) - 1) * 1000 / np.ptp(at_ms)),
        **dict(zip(_PERCENTILES, map(float, percentiles), strict=True)),
        **parts,
    }


def _row(measured: Measured, image_ms: Sequence[float]) -> dict[str, Any]:
    pairs = zip(measured.values["p99_ms"], image_ms, strict=True)
    values: Mapping[str, Sequence[float]] = {
        **measured.values,
        "image_ms": image_ms,
        "p99_over_image": [p99_ms / alone_ms for p99_ms, alone_ms in pairs],
    }
    row: dict[str, Any] = {}
    for name, of_rounds in values.items():
        row |= summary(name, of_rounds)
    return row

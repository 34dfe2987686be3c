"""`framebus bench scale`: what a frame costs as cameras and partitions become more, at a constant rate."""

import importlib.util
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from framebus.cli.bench import options
from framebus.cli.bench.backlog import create_topics
from framebus.cli.bench.cases import CaseOption, checked_cases, wanted_variants
from framebus.cli.bench.child import Child
from framebus.cli.bench.consumer_process import ConsumerProcess, Window
from framebus.cli.bench.footage import read_footage, video_or_default
from framebus.cli.bench.machine import broker_in_words, describe_machine
from framebus.cli.bench.own_broker import OwnBroker, OwnBrokerOption, own_broker
from framebus.cli.bench.report import Plot, Report, Row
from framebus.cli.bench.rounds import Case, Measured, Progress, measure_in_turn, ratios, summary
from framebus.cli.bench.steady_cameras import SteadyCameras
from framebus.cli.bench.throughput import WARM_UP_FRAMES
from framebus.cli.bench.usage import Usage
from framebus.cli.bench.variants import variant_models
from framebus.environment import load_settings
from framebus.local_broker import BrokerKind

CAMERAS = (1, 4, 16, 64, 256)
SHORT_CAMERAS = (1, 256)
PARTITIONS = (1, 4, 16, 64)
SHORT_PARTITIONS: Sequence[int] = ()
_CAMERAS, _PARTITIONS = 16, 8
"""As many as there are while the others become more."""

SECONDS, SHORT_SECONDS = 3.0, 2.0

# Of what the consumer can do: so that it keeps up, and its batches are not always full.
_SHARE = 0.5
# Times what it can do, for its memory at full load.
_OVERLOAD = 2.0
# More than any consumer on this machine can do, to find out what it can.
_PROBE_FPS = 500.0
_WARM_UP_S = 1.5
_MB = 1e6
_COLUMNS = {
    "model": "",
    "case": "",
    "cameras": "d",
    "partitions": "d",
    "load": "",
    "offered_fps": ".1f",
    "fps": ".1f",
    "lag_frames": ".0f",
    "cpu_ms_per_frame": ".2f",
    "vs_one_camera": ".2f",
    "broker_cpu_ms_per_frame": ".2f",
    "consumer_mb": ".0f",
    "consumer_idle_mb": ".0f",
    "beyond_idle_mb": ".0f",
}
_PLOTS = tuple(
    Plot(figure, label, "cameras", "cameras", ("case", "partitions", "load"), ("model",), is_log=True)
    for figure, label in (("cpu_ms_per_frame", "CPU ms per frame"), ("consumer_mb", "MB resident"))
)

RateOption = Annotated[
    float | None,
    typer.Option(
        "--rate",
        min=0.1,
        help="Frames per second of all cameras. Default: half of what the consumer turns out to do.",
    ),
]


def scale(
    model: options.ModelOption = None,
    case: CaseOption = None,
    rate: RateOption = None,
    video: options.VideoOption = None,
    rounds: options.RoundsOption = None,
    seconds: options.SecondsOption = None,
    broker: OwnBrokerOption = BrokerKind.AUTO,
    json_file: options.JsonOption = None,
    plot_file: options.PlotOption = None,
    short: options.ShortOption = False,
) -> None:
    """Measure cost per frame and memory at a constant rate, for 1 to 256 cameras and 1 to 64 partitions.

    Each measurement starts `framebus consume` on a new topic; then cameras publish, from a process of their
    own, and take turns. vs_one_camera: CPU ms per frame against one camera on 8 partitions. lag_frames:
    frames published and not acknowledged at the end. consumer_idle_mb: resident memory when it is ready,
    before the first frame; beyond_idle_mb: how much more there is at the end.

    The row with load `full` gets twice as many frames as the consumer can do, for its memory then. Without
    --case, auto-f32; or tensorflow where OpenVINO is not installed.
    """
    options.check_outputs(json_file, plot=plot_file)
    options.need("psutil")
    has_openvino = importlib.util.find_spec("openvino") is not None
    cases = checked_cases(case, ["auto-f32" if has_openvino else "tensorflow"])
    settings = load_settings()
    models = options.models_or_default(model, settings)
    video = video_or_default(video, settings)
    read_footage(video, frames=1)  # so that a wrong file is told of before anything is loaded
    plan = Plan(
        subjects=subjects(SHORT_CAMERAS, SHORT_PARTITIONS) if short else subjects(CAMERAS, PARTITIONS),
        rate_fps=rate,
        rounds=rounds or (1 if short else options.ROUNDS),
        seconds=seconds or (SHORT_SECONDS if short else SECONDS),
    )
    report = Report("cost per frame by cameras and partitions", _COLUMNS, plots=_PLOTS)
    with (
        tempfile.TemporaryDirectory(prefix="framebus-bench-") as folder,
        own_broker(settings, broker, Path(folder)) as own,
        Child(f"{SteadyCameras.__module__}:{SteadyCameras.__name__}", own.settings, video) as cameras,
        options.progress_bar("scale") as progress,
    ):
        machine = describe_machine(broker_in_words(own.kind))
        for name in models:
            variants = wanted_variants(variant_models(settings.models_dir, name, Path(folder)), cases, name)
            for wanted, variant in variants.items():
                rows = _measure(Stage(own, cameras, variant, plan.seconds), plan, progress)
                report.rows.extend({"model": name, "case": wanted, **row} for row in rows)
    report.publish(machine, json_file, plot_file)


@dataclass(frozen=True, slots=True)
class Subject:
    """What one row tells of.

    Attributes:
        cameras: That publish in turn.
        partitions: Of the topic of frames.
        is_full: More frames come than the consumer can do.
    """

    cameras: int
    partitions: int
    is_full: bool = False

    def __str__(self) -> str:
        return f"{self.cameras} cameras, {self.partitions} partitions" + (", full load" * self.is_full)


ONE_CAMERA = Subject(1, _PARTITIONS)
FULL_LOAD = Subject(_CAMERAS, _PARTITIONS, is_full=True)


def subjects(cameras: Sequence[int], partitions: Sequence[int]) -> list[Subject]:
    """What is measured: so many cameras, then so many partitions, then full load."""
    return [
        *(Subject(number, _PARTITIONS) for number in cameras),
        *(Subject(_CAMERAS, number) for number in partitions),
        FULL_LOAD,
    ]


@dataclass(frozen=True, slots=True)
class Plan:
    """How each model is measured.

    Attributes:
        subjects: What is compared; `ONE_CAMERA` is among them.
        rate_fps: Frames per second of all cameras; None: half of what the consumer turns out to do.
        rounds: How often everything is measured, in turn.
        seconds: How long one measurement takes, once it is warm.
    """

    subjects: Sequence[Subject]
    rate_fps: float | None
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """What one model is measured with.

    Attributes:
        broker: Runs, and has the model in its models directory.
        cameras: The process of `SteadyCameras`.
        model: The name of the model's variant.
        seconds: How long one measurement takes, once it is warm.
    """

    broker: OwnBroker
    cameras: Child
    model: str
    seconds: float

    def measure(self, subject: Subject, offered_fps: float) -> dict[str, float]:
        """Starts a consumer on a topic of its own, puts the load on, and measures it once it is warm.

        Raises:
            FramebusError: The consumer failed, or the cameras.
        """
        topics = self.broker.settings.topics.model_copy(
            update={"frames": f"frames-{uuid.uuid4().hex}", "partitions": subject.partitions}
        )
        create_topics(self.broker.settings.model_copy(update={"topics": topics}))
        with ConsumerProcess(self.broker, self.model, topics.frames) as consumer:
            idle = consumer.usage()
            self.cameras.ask("begin", topics.frames, subject.cameras, offered_fps)
            try:
                first = consumer.wait_for(_warm_up_frames(subject, offered_fps))
                time.sleep(self.seconds)
                last = consumer.wait_for(first.frames + 1)
                published = self.cameras.ask("published")
                busy = consumer.usage()
            finally:
                self.cameras.ask("end")
        return {
            "offered_fps": offered_fps,
            **Window(first, last).figures(),
            "lag_frames": published - last.frames,
            **_memory(idle, busy),
        }


def _warm_up_frames(subject: Subject, offered_fps: float) -> int:
    if subject.is_full:  # many more are on their way
        return WARM_UP_FRAMES
    # At least one of every camera.
    return max(subject.cameras, round(_WARM_UP_S * offered_fps))


def _memory(idle: Usage, busy: Usage) -> dict[str, float]:
    return {
        "consumer_mb": busy.memory_bytes / _MB,
        "consumer_idle_mb": idle.memory_bytes / _MB,
        "beyond_idle_mb": (busy.memory_bytes - idle.memory_bytes) / _MB,
    }


def _measure(stage: Stage, plan: Plan, progress: Progress) -> list[Row]:
    progress(0, 1, f"throughput of {stage.model}")
    most_fps = stage.measure(FULL_LOAD, _PROBE_FPS)["fps"]
    rate_fps = plan.rate_fps or most_fps * _SHARE
    offered_fps = {True: most_fps * _OVERLOAD, False: rate_fps}
    cases = [
        Case(str(subject), partial(stage.measure, subject, offered_fps[subject.is_full]))
        for subject in plan.subjects
    ]
    measured = dict(zip(plan.subjects, measure_in_turn(cases, plan.rounds, progress), strict=True))
    return [_row(subject, one, measured) for subject, one in measured.items()]


def _row(subject: Subject, measured: Measured, all_measured: Mapping[Subject, Measured]) -> Row:
    row: dict[str, Any] = {
        "cameras": subject.cameras,
        "partitions": subject.partitions,
        "load": "full" if subject.is_full else "steady",
    }
    for name, values in measured.values.items():
        row |= {name: values[0]} if name == "offered_fps" else summary(name, values)
    if not subject.is_full:  # there its batches are full, and that is another thing
        compared = ratios(measured, all_measured[ONE_CAMERA], "cpu_ms_per_frame")
        row |= summary("vs_one_camera", compared)
    return row

"""Control: what workers should run, and what they say of themselves; both travel over the bus as JSON.

The topic of commands holds state, not verbs: `<model>/loaded` says whether every worker should have a model,
and `<model>/thresholds` what wins over its config.json. Whoever reads it whole knows all there is to know.
"""

import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framebus.bus import OutgoingRecord, Record
from framebus.detections import Thresholds
from framebus.errors import ControlRecordError

_KEY = re.compile(r"(?!\.{1,2}/)([A-Za-z0-9._-]{1,100})/(loaded|thresholds)")


class _Message(BaseModel):
    # What a later version says beyond this is left out.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class LoadCommand(_Message):
    """Whether every worker should have a model.

    Attributes:
        loaded: Whether it should.
        generation: Higher than before: load it anew from its folder, beside the one in force.
    """

    loaded: bool
    generation: int = Field(0, ge=0)


class Overrides(_Message):
    """What wins over a model's config.json; None leaves it as it is there.

    Attributes:
        confidence: Lowest score that is kept, in percent (0..100).
        predictions: At most this many detections are kept, best first.
    """

    confidence: float | None = Field(None, ge=0, le=100)
    predictions: int | None = Field(None, ge=1, lt=2**31)

    def over(self, thresholds: Thresholds) -> Thresholds:
        """The thresholds in force, of those in config.json."""
        return Thresholds(
            confidence=thresholds.confidence if self.confidence is None else self.confidence,
            predictions=thresholds.predictions if self.predictions is None else self.predictions,
        )


class ModelStatus(_Message):
    """A model on one worker.

    Attributes:
        name: The model.
        state: `loaded` while it serves, also while, or after, a newer version could not take its place.
        version: Of what serves; None if nothing does.
        generation: The highest that was carried out, well or not.
        error: Why the last load failed, in words; None if it did not.
        is_routed: A topic is read for it, so it cannot be unloaded.
        config: config.json as it is in force, overrides included; None before it was loaded.
        overridden: The keys of `config` that do not come from config.json.
        config_error: Why config.json as it stands now is not in force; None if it is.
        device: What it runs on, e.g. `CPU`.
        engine: What runs it; not `auto`, but the engine that was picked.
        precision: What its convolutions are computed in: `f32`, or `bf16`, which shifts scores.
        fallback: Why that is not the engine that was asked for, or not all that it might be; None if it is.
        batch_fill: Pictures per engine call since the last beat, as a share of the batch size; None if no
            call was made.
        lag_frames: Frames on the bus that are not finished yet; None for a model without a topic.
    """

    name: str
    state: Literal["loading", "loaded", "failed"]
    version: str | None = None
    generation: int = 0
    error: str | None = None
    is_routed: bool = False
    config: dict[str, Any] | None = None
    overridden: tuple[str, ...] = ()
    config_error: str | None = None
    device: str | None = None
    engine: str | None = None
    precision: str | None = None
    fallback: str | None = None
    batch_fill: float | None = None
    lag_frames: int | None = None


class CameraStatus(_Message):
    """A camera whose frames went through a model on one worker within the last seconds.

    Attributes:
        camera: Its id.
        model: The model.
        frames_per_s: Frames that got their detections.
        dropped_per_s: Frames that were left out, because they were too old or a newer one was there.
        latency_ms: From capture to acknowledged detections, on the average; None without any.
        last_frame_at: When the last frame got its detections or was left out.
    """

    camera: str
    model: str
    frames_per_s: float
    dropped_per_s: float = 0.0
    latency_ms: float | None = None
    last_frame_at: datetime


class WorkerStatus(_Message):
    """What a worker says of itself with every beat.

    Attributes:
        worker: Its id, another after each start.
        address: Its HTTP port, e.g. `http://10.0.0.7:9101`.
        started_at: When it started.
        is_ready: Whether it has done all that was desired when it started.
        waiting_predictions: One-off predictions that wait for the engine or are in it.
        models: All it has, is loading, or could not load.
        cameras: Those with the most frames, if there are very many.
    """

    worker: str
    address: str
    started_at: datetime
    is_ready: bool
    waiting_predictions: int = 0
    models: tuple[ModelStatus, ...] = ()
    cameras: tuple[CameraStatus, ...] = ()

    def model(self, name: str) -> ModelStatus | None:
        """What it says of one model."""
        return next((model for model in self.models if model.name == name), None)


class DesiredState:
    """What all workers should run, as far as the topic of commands was read."""

    def __init__(self) -> None:
        self.loads: dict[str, LoadCommand] = {}
        self.overrides: dict[str, Overrides] = {}

    def apply(self, record: Record) -> None:
        """Takes one record of the topic of commands.

        Raises:
            ControlRecordError: It is none that framebus wrote; the state is as before.
        """
        key = _KEY.fullmatch((record.key or b"").decode(errors="replace"))
        if key is None:
            raise ControlRecordError(
                f"{_place(record)}: the key {(record.key or b'')[:100]!r} is neither <model>/loaded nor "
                "<model>/thresholds"
            )
        model, what = key.groups()
        try:
            if what == "loaded":
                _put(self.loads, model, record.value and LoadCommand.model_validate_json(record.value))
            else:
                _put(self.overrides, model, record.value and Overrides.model_validate_json(record.value))
        except ValidationError as error:
            raise _no_message(record, error) from error

    def copy(self) -> "DesiredState":
        """The same, for another thread to read."""
        copied = DesiredState()
        copied.loads, copied.overrides = dict(self.loads), dict(self.overrides)
        return copied

    def load(self, model: str) -> LoadCommand:
        """What is desired of a model; nothing, as long as nobody asked for it."""
        return self.loads.get(model, LoadCommand(loaded=False))


def load_record(topic: str, model: str, command: LoadCommand) -> OutgoingRecord:
    """Says whether every worker should have a model."""
    return OutgoingRecord(topic, f"{model}/loaded".encode(), command.model_dump_json().encode())


def overrides_record(topic: str, model: str, overrides: Overrides) -> OutgoingRecord:
    """Says what wins over a model's config.json."""
    is_empty = overrides == Overrides()
    value = None if is_empty else overrides.model_dump_json().encode()
    return OutgoingRecord(topic, f"{model}/thresholds".encode(), value)


def status_record(topic: str, status: WorkerStatus) -> OutgoingRecord:
    """A worker's beat."""
    return OutgoingRecord(topic, status.worker.encode(), status.model_dump_json().encode())


def farewell_record(topic: str, worker: str) -> OutgoingRecord:
    """A worker's last word."""
    return OutgoingRecord(topic, worker.encode(), None)


def read_status(record: Record) -> WorkerStatus:
    """Reads a beat back.

    Raises:
        ControlRecordError: It is none.
    """
    try:
        return WorkerStatus.model_validate_json(record.value)
    except ValidationError as error:
        raise _no_message(record, error) from error


def _put(state: dict[str, Any], model: str, message: Any) -> None:
    if message:
        state[model] = message
    else:  # a tombstone
        state.pop(model, None)


def _no_message(record: Record, error: ValidationError) -> ControlRecordError:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return ControlRecordError(f"{_place(record)}: {where or 'the value'}: {problem['msg']}")


def _place(record: Record) -> str:
    return f"record {record.partition.topic}/{record.partition.number}/{record.offset}"

"""Settings: environment variables, `FRAMEBUS_` in front, `__` between levels.

Built once where a program starts, and passed down. `docs/settings.md` lists them all.
"""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from framebus.errors import SettingsError
from framebus.yaml_list import YamlList

PREFIX = "FRAMEBUS_"
DELIMITER = "__"


def _client_options(value: Any) -> Any:
    """Takes an option in the manner of the environment too: `SECURITY_PROTOCOL` for `security.protocol`."""
    if not isinstance(value, Mapping):
        return value
    # librdkafka has one such option that is written with an underscore itself.
    return {
        key if key == "log_level" else str(key).replace("_", "."): str(option)
        for key, option in value.items()
    }


ClientOptions = Annotated[dict[str, str], BeforeValidator(_client_options)]
"""librdkafka options by their own names, e.g. `{"security.protocol": "SSL"}`; some are secrets."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Group):
    """The bus. `options` reach every client; the other two win over them for their kind of client."""

    bootstrap_servers: str = Field("127.0.0.1:9092", min_length=1, description="host:port, comma-separated")
    group_id: str = Field("framebus", min_length=1, description="consumers of one group share the partitions")
    options: ClientOptions = Field({}, repr=False, description="librdkafka options for every client")
    consumer_options: ClientOptions = Field({}, repr=False, description="librdkafka options for consumers")
    producer_options: ClientOptions = Field({}, repr=False, description="librdkafka options for producers")


class TopicSettings(_Group):
    """Names of the topics, and what `framebus topics create` gives them."""

    frames: str = Field("frames", min_length=1, description="where cameras publish")
    dead: str = Field("frames.dead", min_length=1, description="frames that could not be processed")
    partitions: int = Field(8, ge=1, description="upper bound of consumers that share a topic")
    replication_factor: int = Field(-1, ge=-1, description="-1: the broker's default")
    max_message_bytes: int = Field(10 * 2**20, ge=100_000, description="largest record, in bytes")
    frames_retention_ms: int = Field(
        60 * 60_000, ge=-1, description="how long pictures are kept; -1: for ever"
    )
    frames_retention_bytes: int = Field(4 * 2**30, ge=-1, description="pictures kept per partition, in bytes")
    detections_retention_ms: int = Field(24 * 60 * 60_000, ge=-1, description="how long detections are kept")
    dead_retention_ms: int = Field(7 * 24 * 60 * 60_000, ge=-1, description="how long dead letters are kept")

    @model_validator(mode="after")
    def _dead_letters_are_no_frames(self) -> Self:
        if self.dead == self.frames:
            raise ValueError(
                f"dead and frames are both {self.frames!r}; dead letters would come round for ever"
            )
        return self


class RouteSettings(_Group):
    """What becomes of the frames of a topic."""

    topic: str = Field(
        description="its name, or a regular expression that begins with ^ and matches it whole"
    )
    models: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]] = Field(
        min_length=1, description="the models that its frames go through"
    )
    freshness: Literal["all", "latest"] = Field(
        "all", description="every frame, or of each camera the newest that there is time for"
    )
    max_frame_age_ms: int | None = Field(
        None, ge=1, description="frames whose record is older are left out, and counted"
    )

    @field_validator("topic")
    @classmethod
    def _is_a_name_or_a_pattern(cls, topic: str) -> str:
        if topic.startswith("^"):
            try:
                re.compile(topic)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        elif not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic):
            raise ValueError(
                "not a topic's name (1 to 249 of A-Z a-z 0-9 . _ -), and a regular expression begins with ^"
            )
        return topic

    @field_validator("models")
    @classmethod
    def _has_each_model_once(cls, models: list[str]) -> list[str]:
        if len(set(models)) < len(models):
            raise ValueError("a model is there twice")
        return models


ROUTES = YamlList(RouteSettings, noun="route", name="topic", needs="topic and models")
"""A list of routes; the same in a file and in the environment."""


class ConsumerSettings(_Group):
    """The consumer: what it runs, how much it holds at once, and its HTTP port."""

    model: str | None = Field(
        None, description="the model of every frame where no routes are given; default: pedestrian"
    )
    max_batch_delay_ms: float = Field(
        20, ge=0, description="longest wait of a batch's first frame for the others"
    )
    max_in_flight_frames: int = Field(
        64, ge=1, description="frames between bus and acknowledgement, per model; not of `latest` routes"
    )
    max_in_flight_bytes: int = Field(
        32 * 2**20, ge=2**20, description="the same in bytes, encoded; of `latest` routes too"
    )
    max_decoded_bytes: int = Field(
        160 * 2**20, ge=2**20, description="decoded pictures; the engine may take many times as much"
    )
    max_frame_pixels: int = Field(50_000_000, ge=1, description="larger pictures become dead letters")
    decode_threads: int = Field(1, ge=1, le=64, description="pictures decoded at the same time")
    commit_interval_ms: int = Field(500, ge=1, description="how often finished offsets are committed")
    drain_timeout_s: float = Field(30, ge=0, description="longest wait for frames in flight at SIGTERM")
    http_host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    http_port: int = Field(9101, ge=0, le=65535, description="of the first worker; 0: any free port")
    metrics_cameras: int = Field(
        200, ge=0, description="cameras with series of their own; the rest is 'other'"
    )


class ProducerSettings(_Group):
    """The producer: how it reads cameras, and how much it holds while the broker is away."""

    jpeg_quality: int = Field(
        90, ge=1, le=100, description="quality of frames that do not come as JPEG, PNG or WebP"
    )
    camera_timeout_s: float = Field(
        10, ge=0.1, le=3_600, description="a live camera that says nothing for so long is opened again"
    )
    max_reconnect_delay_s: float = Field(
        30, ge=0, le=3_600, description="longest wait between attempts to reach a live camera"
    )
    max_buffer_frames: int = Field(256, ge=1, description="frames held while the broker is away, all cameras")
    max_buffer_bytes: int = Field(64 * 2**20, ge=2**20, description="the same in bytes")
    drain_timeout_s: float = Field(30, ge=0, description="longest wait for frames in flight at the end")
    http_host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    http_port: int = Field(9201, ge=0, le=65535, description="0: any free port")
    metrics_cameras: int = Field(
        200, ge=0, description="cameras with series of their own; the rest is 'other'"
    )


class TensorFlowSettings(_Group):
    """The TensorFlow engine. 0 threads: TensorFlow's own choice."""

    batch_size: int = Field(8, ge=1, le=256, description="pictures per call")
    concurrency: int = Field(2, ge=1, le=16, description="calls at once on one session")
    intra_op_threads: int = Field(0, ge=0, description="threads inside one operation")
    inter_op_threads: int = Field(0, ge=0, description="operations at once")
    gpu_memory_growth: bool = Field(True, description="take GPU memory as needed, not all at load")
    visible_devices: str | None = Field(
        None, pattern=r"^(\d+(,\d+)*)?$", description="GPUs by number, comma-separated; '': none"
    )


class LogSettings(_Group):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")


class Settings(BaseSettings):
    """Every setting of every program."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
        hide_input_in_errors=True,
    )

    models_dir: Path = Field(Path("models"), description="the model repository: one folder per model")
    cache_dir: Path | None = Field(None, description="downloads; default: the user's cache directory")
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    routes: list[RouteSettings] | None = Field(
        None, min_length=1, description="which topic feeds which models, as JSON"
    )
    routes_file: Path | None = Field(None, description="the same as a YAML file")
    consumer: ConsumerSettings = ConsumerSettings()
    producer: ProducerSettings = ProducerSettings()
    tensorflow: TensorFlowSettings = TensorFlowSettings()
    log: LogSettings = LogSettings()


def load_settings(**overrides: Any) -> Settings:
    """Builds the settings from the environment.

    Args:
        **overrides: Values that win over the environment, by field name; groups as mappings.

    Raises:
        SettingsError: A variable is unknown or its value is wrong; says which, why, and what to write.
    """
    types = dict(_variables())
    _check_variables(types)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            variable = PREFIX + DELIMITER.join(str(part) for part in problem["loc"]).upper()
            # A value is shown only where no password can stand.
            if problem["loc"][0] == "routes" and len(problem["loc"]) > 1:
                problem["loc"] = problem["loc"][1:]
                lines += [f"{PREFIX}ROUTES: {line}" for line in ROUTES.in_words([problem])]
            elif variable not in types:
                lines.append(_unknown(variable, types))
            elif problem["type"] == "value_error":  # of a whole group, and it names what it quotes
                lines.append(f"{variable}: {problem['msg']}")
            elif _is_json(types[variable]):
                lines.append(_no_object(variable, problem["msg"]))
            else:
                lines.append(f"{variable}={problem['input']!r}: {problem['msg']}")
        raise SettingsError("wrong settings:\n  " + "\n  ".join(lines)) from error


def _variables() -> Iterator[tuple[str, Any]]:
    """Every variable there is, with its type: single settings and whole groups."""
    for name, field in Settings.model_fields.items():
        yield PREFIX + name.upper(), field.annotation
        for child, child_field in getattr(field.annotation, "model_fields", {}).items():
            yield f"{PREFIX}{name}{DELIMITER}{child}".upper(), child_field.annotation


def _is_json(kind: Any) -> bool:
    return kind in (dict[str, str], list[RouteSettings] | None) or hasattr(kind, "model_fields")


def _check_variables(types: Mapping[str, Any]) -> None:
    """Refuses variables that are no setting, and groups and options that are not written as JSON."""
    single_options = tuple(variable + DELIMITER for variable in types if types[variable] == dict[str, str])
    for variable, value in os.environ.items():
        name = variable.upper()
        if not name.startswith(PREFIX) or name.startswith(single_options):
            continue
        if name not in types:
            raise SettingsError(_unknown(name, types))
        if _is_json(types[name]):
            try:
                json.loads(value)
            except ValueError as error:
                raise SettingsError(_no_object(name, str(error))) from error


def _no_object(variable: str, why: str) -> str:
    if variable == f"{PREFIX}ROUTES":
        return (
            f"{variable} is no JSON list of routes ({why}); write one such as "
            """'[{"topic": "frames", "models": ["pedestrian"]}]', or a file and its name as """
            f"{variable}_FILE"
        )
    return (
        f"{variable} is no JSON object ({why}); write one such as "
        f"""'{{"name": "value"}}', or one variable {variable}{DELIMITER}<NAME> each"""
    )


def _unknown(variable: str, types: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(variable, types, n=1, cutoff=0.85)
    group = variable.split(DELIMITER)[0] + DELIMITER
    siblings = [known for known in types if known.startswith(group)]
    known = siblings or [known for known in types if DELIMITER not in known]
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
    return f"{variable} is no setting of framebus; {hint}"

"""Settings: built once where a program starts, and passed down. `docs/settings.md` lists them all."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from framebus.client_options import ClientOptions, wrong_option
from framebus.secret_file import read_secret
from framebus.yaml_list import YamlList

PREFIX = "FRAMEBUS_"
DELIMITER = "__"
TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes for the name of a topic."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _SecretGroup(_Group):
    """A group with secrets: what `<name>_file` names holds what `<name>` would say."""

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        read = dict(values)
        for name in cls.model_fields:
            path = values.get(f"{name}_file")
            if path is None:
                continue
            if values.get(name) is not None:
                raise wrong_option(f"{name}_file", f": {name.upper()} is given too; keep one of them")
            try:
                read[name] = read_secret(Path(path))
            except ValueError as error:
                raise wrong_option(f"{name}_file", str(error)) from None
        return read


class KafkaSettings(_Group):
    """The bus. `options` reach every client; the other two win over them for their kind of client."""

    bootstrap_servers: str = Field("127.0.0.1:9092", min_length=1, description="host:port, comma-separated")
    group_id: str = Field("framebus", min_length=1, description="consumers of one group share the partitions")
    patience_s: float = Field(
        120, ge=1, description="longest wait for a broker that does not answer; then a consumer ends"
    )
    options: ClientOptions = Field({}, repr=False, description="librdkafka options for every client")
    consumer_options: ClientOptions = Field({}, repr=False, description="librdkafka options for consumers")
    producer_options: ClientOptions = Field({}, repr=False, description="librdkafka options for producers")


class TopicSettings(_Group):
    """Names of the topics, and what `framebus topics create` gives them."""

    frames: str = Field("frames", min_length=1, description="where cameras publish")
    dead: str = Field("frames.dead", min_length=1, description="frames that could not be processed")
    commands: str = Field("framebus.commands", min_length=1, description="which models workers should have")
    workers: str = Field("framebus.workers", min_length=1, description="what workers say of themselves")
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
        elif not TOPIC_NAME.fullmatch(topic):
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
    transaction_interval_ms: int = Field(
        100, ge=1, description="how long detections wait for their transaction, with exactly_once"
    )
    instance_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="a name that stays over restarts; then a restart moves no partitions (static membership)",
    )
    max_dead_share: float = Field(
        0.5, gt=0, le=1, description="a larger share of dead letters ends the consumer; 1: none does"
    )
    dead_window_frames: int = Field(200, ge=1, description="of so many frames, the last ones")
    stall_timeout_s: float = Field(
        120, ge=1, description="an engine call, or the poll loop, that hangs for longer ends the consumer"
    )
    drain_timeout_s: float = Field(30, ge=0, description="longest wait for frames in flight at SIGTERM")
    http_host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    http_port: int = Field(9101, ge=0, le=65535, description="of the first worker; 0: any free port")
    http_address: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+$",
        description="where the control API reaches that port; default: this host's own address",
    )
    max_waiting_predictions: int = Field(
        128, ge=1, description="one-off predictions that may wait for the engine; more are refused"
    )
    load_attempts: int = Field(
        3, ge=1, description="how often loading a model of a route is tried before the consumer ends"
    )
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


class ControlSettings(_SecretGroup):
    """What the control API and the workers have in common."""

    worker_token: SecretStr | None = Field(
        None, min_length=16, description="secret that opens the workers' HTTP ports to the control API"
    )
    worker_token_file: Path | None = Field(None, description="a file that holds it")
    beat_interval_s: float = Field(
        1, gt=0, le=60, description="how often a worker tells of itself; after three without it is gone"
    )


class ApiSettings(_SecretGroup):
    """The control API: where it listens, what it takes, and who may use it."""

    host: str = Field("127.0.0.1", description="address of the REST API, and of its metrics")
    port: int = Field(4343, ge=0, le=65535, description="0: any free port")
    load_timeout_s: float = Field(60, gt=0, description="longest wait for workers that load a model")
    predict_timeout_s: float = Field(
        30, gt=0, description="longest wait for a prediction, tries on other workers included"
    )
    max_image_bytes: int = Field(10 * 2**20, ge=1_000, description="largest picture, encoded")
    max_image_pixels: int = Field(50_000_000, ge=1, description="largest picture, decoded")
    max_images: int = Field(64, ge=1, description="pictures in one predict_batch")
    max_concurrent_requests: int = Field(64, ge=1, description="more predictions at once are answered 429")
    read_token: SecretStr | None = Field(None, min_length=16, description="lets its bearer predict and look")
    read_token_file: Path | None = Field(None, description="a file that holds it")
    admin_token: SecretStr | None = Field(
        None, min_length=16, description="lets its bearer load, unload and configure models too"
    )
    admin_token_file: Path | None = Field(None, description="a file that holds it")
    legacy_status: bool | None = Field(
        None,
        description="answer 200 where the old service did, errors too; default: only `framebus serve` does",
    )
    grafana_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="where the dashboard's link to history leads"
    )
    cors_origins: list[str] = Field([], description="origins whose pages may call the API, as JSON")


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


class OpenVinoSettings(_Group):
    """The OpenVINO engine."""

    threads: int = Field(0, ge=0, le=256, description="cores that it uses; 0: all that the process may use")


class TracingSettings(_Group):
    """OpenTelemetry's own variables say where spans go, and how many: [tracing](tracing.md)."""

    enabled: bool = Field(False, description="make and export spans; needs the extra `tracing`")


class LogSettings(_Group):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: json where what runs on has no terminal, else console"
    )


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
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once", description="exactly_once: detections and offsets in transactions"
    )
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    routes: list[RouteSettings] | None = Field(
        None, min_length=1, description="which topic feeds which models, as JSON"
    )
    routes_file: Path | None = Field(None, description="the same as a YAML file")
    consumer: ConsumerSettings = ConsumerSettings()
    control: ControlSettings = ControlSettings()
    api: ApiSettings = ApiSettings()
    producer: ProducerSettings = ProducerSettings()
    tensorflow: TensorFlowSettings = TensorFlowSettings()
    openvino: OpenVinoSettings = OpenVinoSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Overrides, then the environment, where single options win over a JSON object of many."""
        environment = EnvSettingsSource(settings_cls)
        # The last one wins, so what is written for many comes before what is written for one.
        environment.env_vars = dict(sorted(environment.env_vars.items()))
        return init_settings, environment

"""What goes in and out as JSON, for the documentation and for checking what comes in."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

Data = TypeVar("Data")

_DETECTION = {
    "ObjectClassName": "person",
    "confidence": 93.1,
    "coordinates": {"left": 10, "top": 20, "right": 110, "bottom": 220},
    "ObjectClassId": 1,
}
_BOXES = {"bounding-boxes": [_DETECTION]}
_ON_WORKER = {
    "state": "loaded",
    "version": "0f3a61c0d2b4",
    "generation": 0,
    "error": None,
    "config_error": None,
    "device": "CPU",
    "engine": "openvino_detection",
    "precision": "f32",
    "fallback": None,
    "is_routed": True,
}


def _example(value: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class Success(BaseModel, Generic[Data]):
    """The envelope of what went well."""

    data: Data
    error: Literal[""] = ""
    success: Literal[True] = True


class Failure(BaseModel):
    """The envelope of what did not: `error` says why, and what to do."""

    data: None = None
    error: str
    success: Literal[False] = False


class Coordinates(BaseModel):
    """A box in whole pixels of the picture as it was sent."""

    left: int
    top: int
    right: int
    bottom: int


class Detection(BaseModel):
    """One object in a picture. Its confidence is in percent here, and 0..1 on the bus."""

    model_config = _example(_DETECTION)

    object_class_name: str = Field(alias="ObjectClassName")
    confidence: float = Field(ge=0, le=100)
    coordinates: Coordinates
    object_class_id: int = Field(
        alias="ObjectClassId", description="a class that the label map lacks is named by its id"
    )


class BoundingBoxes(BaseModel):
    """What was found in a picture, best first."""

    model_config = _example(_BOXES)

    bounding_boxes: list[Detection] = Field(alias="bounding-boxes")


class BatchBoxes(BoundingBoxes):
    """What was found in one picture of several."""

    model_config = _example({**_BOXES, "ImageName": "street.jpg"})

    image_name: str = Field(alias="ImageName", description="the name of the file as it was sent")


class BatchError(BaseModel):
    """Why one picture of several could not be processed."""

    model_config = _example({"error": "Invalid input data: the JPEG is cut off", "ImageName": "broken.jpg"})

    error: str
    image_name: str = Field(alias="ImageName")


class ModelOnWorker(BaseModel):
    """A model on one worker."""

    state: Literal["loading", "loaded", "failed"]
    version: str | None = Field(description="of what serves; changes with the graph or the label map")
    generation: int = Field(description="counts forced reloads; the highest that was carried out")
    error: str | None = Field(description="why the last load failed")
    config_error: str | None = Field(description="why config.json as it is now is not in force")
    device: str | None
    engine: str | None = Field(description="what runs it; where config.json says `auto`, the one picked")
    precision: str | None = Field(
        description="what it computes in: f32, or bf16, which shifts scores: some detections come and go"
    )
    fallback: str | None = Field(
        description="why that is not the engine that was asked for, or not all that it might be"
    )
    is_routed: bool = Field(description="a topic is read for it, so it cannot be unloaded")


class ThresholdsInForce(BaseModel):
    """Which detections count."""

    confidence: float = Field(description="lowest score that is kept, in percent")
    predictions: int = Field(description="at most so many are kept, best first")


class ModelDetails(BaseModel):
    """A model, and what the workers say of it."""

    uuid: str
    state: Literal["loaded", "loading", "failed", "unloaded"] = Field(
        description="loaded: at least one worker has it; failed: none has it, and one could not load it"
    )
    version: str | None = Field(description="hash of graph and label map, of what serves")
    desired: bool = Field(description="every worker should have it, because a client loaded it")
    thresholds: ThresholdsInForce | None
    overridden: list[str] = Field(description="what of config.json is overridden")
    error: str | None = Field(description="why the last load failed")
    config_error: str | None = Field(description="why config.json as it is now is not in force")
    workers: dict[str, ModelOnWorker] = Field(description="by the worker's id")


class ModelList(BaseModel):
    """Every model that there is."""

    model_config = _example(
        {
            "models": ["pedestrian"],
            "details": {
                "pedestrian": {
                    "uuid": "6bd1b1b5-6d5c-5c57-9f0b-ff2ba8dfd1ae",
                    "state": "loaded",
                    "version": "0f3a61c0d2b4",
                    "desired": True,
                    "thresholds": {"confidence": 60, "predictions": 15},
                    "overridden": [],
                    "error": None,
                    "config_error": None,
                    "workers": {"gpu-1-7f3a": _ON_WORKER},
                }
            },
        }
    )

    models: list[str]
    details: dict[str, ModelDetails]


class ModelConfigInForce(BaseModel):
    """A model's config.json as it is in force: its keys, and which of them do not come from the file."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "inference_engine_name": "tensorflow_detection",
                    "confidence": 75,
                    "predictions": 15,
                    "number_of_classes": 1,
                    "framework": "tensorflow",
                    "type": "detection",
                    "network": "ssdlite_mobilenet_v2",
                    "overridden": ["confidence"],
                }
            ]
        },
    )

    inference_engine_name: str
    confidence: float
    predictions: int
    overridden: list[str] = Field(description="set by PATCH or on the command line, and not by config.json")
    config_error: str | None = Field(
        None, description="why config.json as it is now is not in force; left out if it is"
    )


class ConfigPatch(BaseModel):
    """What wins over config.json from now on; null clears it, and what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"confidence": 75, "predictions": None}]},
    )

    confidence: float | None = Field(None, ge=0, le=100, description="in percent")
    predictions: int | None = Field(None, ge=1, lt=2**31)

    @field_validator("predictions", mode="before")
    @classmethod
    def _whole_number(cls, value: Any) -> Any:
        # JSON Schema counts 15.0 as an integer.
        return int(value) if isinstance(value, float) and value.is_integer() else value


class WorkerModel(ModelOnWorker):
    """A model on the worker."""

    name: str
    batch_fill: float | None = Field(description="pictures per engine call, as a share of the batch size")
    lag_frames: int | None = Field(description="frames on the bus that are not finished yet")


class WorkerView(BaseModel):
    """A live worker, as of its last beat."""

    model_config = _example(
        {
            "worker": "gpu-1-7f3a",
            "address": "http://10.0.0.7:9101",
            "started_at": "2026-01-31T12:00:00Z",
            "heard_s_ago": 0.4,
            "is_ready": True,
            "waiting_predictions": 0,
            "models": [
                {"name": "pedestrian", **_ON_WORKER, "batch_fill": 0.8, "lag_frames": 12},
            ],
        }
    )

    worker: str
    address: str
    started_at: datetime
    heard_s_ago: float
    is_ready: bool
    waiting_predictions: int
    models: list[WorkerModel]


class CameraView(BaseModel):
    """A camera whose frames go through a model on a worker."""

    model_config = _example(
        {
            "camera": "gate",
            "model": "pedestrian",
            "worker": "gpu-1-7f3a",
            "frames_per_s": 25.0,
            "dropped_per_s": 0.0,
            "latency_ms": 41.5,
            "last_frame_at": "2026-01-31T12:00:00.250000Z",
        }
    )

    camera: str
    model: str
    worker: str
    frames_per_s: float
    dropped_per_s: float
    latency_ms: float | None = Field(
        description="from capture to acknowledged detections, on the average of ten seconds"
    )
    last_frame_at: datetime


class LiveRequest(BaseModel):
    """What a viewer watches, and what it has of it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"model": "pedestrian", "cameras": {"gate": "frames/3/123", "yard": None}, "wait_s": 1.0}
            ]
        },
    )

    model: str = Field(description="name or uuid of a model")
    cameras: dict[str, str | None] = Field(
        max_length=300,
        description="by camera the place (topic/partition/offset) of the frame that the viewer has, or null",
    )
    wait_s: float = Field(1.0, ge=0, le=5, description="longest wait for a newer frame")


class Login(BaseModel):
    """What a browser logs in with."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"token": "the read or the admin token"}]}
    )

    token: str = Field(max_length=1_000)


class LoggedIn(BaseModel):
    """What the cookie allows."""

    model_config = _example({"scope": "admin"})

    scope: Literal["read", "admin"]


class Session(BaseModel):
    """What a client may do here, and what a page needs to know of this installation."""

    model_config = _example(
        {"scope": "read", "is_open": False, "has_streams": True, "grafana_url": "https://grafana.example"}
    )

    scope: Literal["nothing", "read", "admin"]
    is_open: bool = Field(description="no token is set, and everybody may do everything")
    has_streams: bool = Field(description="cameras can be here; not in `framebus serve`, which has no Kafka")
    grafana_url: str | None = Field(description="where the past is shown")


class Health(BaseModel):
    """All is well, or why not."""

    model_config = _example({"status": "ok"})

    status: Literal["ok", "unavailable"]
    reason: str | None = None

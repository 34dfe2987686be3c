"""The wire format: frames and detections as Kafka keys, headers and values.

CloudEvents 1.0 in Kafka binary mode (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/
kafka-protocol-binding.md). `docs/wire-format.md` is the page for those who publish and subscribe.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from framebus.bus import Headers, OutgoingRecord, Record
from framebus.detections import Detections, Thresholds, label_of
from framebus.errors import InvalidHeaderError, UndecodableFrameError
from framebus.frames import EncodedFrame, FramePosition, TraceContext
from framebus.topics import detections_topic

FRAME_TYPE = "io.framebus.frame.v1"
DETECTIONS_TYPE = "io.framebus.detections.v1"
SCHEMA_VERSION = "1.0"

# Ids and headers are repeated in every message about their frame.
_MAX_TEXT_BYTES = 1_024
_TRACE_HEADERS = ("traceparent", "tracestate")
_BOX_EDGES = ("leftX", "topY", "rightX", "bottomY")
_DETECTIONS_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:framebus:detections")


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a frame's time went. All in milliseconds but the batch size.

    Attributes:
        wait_ms: From the poll that brought it until its batch started, without decoding.
        decode_ms: Decoding.
        infer_ms: The engine's call, for the whole batch.
        total_ms: From capture to publishing; 0 if the camera's clock is ahead of ours.
        batch_size: Frames in the call.
    """

    wait_ms: float
    decode_ms: float
    infer_ms: float
    total_ms: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class ModelInForce:
    """The model, its version and the thresholds that detections were made with."""

    name: str
    version: str
    thresholds: Thresholds
    labels: Mapping[int, str]


def encode_frame(frame: EncodedFrame, topic: str) -> OutgoingRecord:
    """A frame as a camera publishes it."""
    headers: list[tuple[str, bytes | None]] = [
        ("content-type", frame.content_type.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_type", FRAME_TYPE.encode()),
        ("ce_source", f"/cameras/{quote(frame.camera_id, safe='')}".encode()),
        ("ce_id", frame.frame_id.encode()),
        ("ce_time", format_time(frame.captured_at).encode()),
    ]
    for name, value in (("ce_model", frame.model), ("ce_sequence", frame.sequence)):
        if value is not None:
            headers.append((name, value.encode()))
    return OutgoingRecord(
        topic, frame.camera_id.encode(), frame.data, (*headers, *_trace_headers(frame.trace))
    )


def decode_frame(record: Record) -> EncodedFrame:
    """Reads a frame; a bare image with at most a key will do, the rest then comes from the record.

    Raises:
        InvalidHeaderError: The key or a header is not UTF-8, or `ce_time` no RFC 3339 time.
        UndecodableFrameError: The record has no value.
    """
    partition = record.partition
    if not record.value:
        raise UndecodableFrameError("the record has no value; a frame's value is its image file")
    headers = dict(record.headers)
    camera_id = _text("the key", record.key) or f"{partition.topic}/{partition.number}"
    traceparent = _text("traceparent", headers.get("traceparent"))
    return EncodedFrame(
        camera_id=camera_id,
        frame_id=_text("ce_id", headers.get("ce_id"))
        or f"{partition.topic}/{partition.number}/{record.offset}",
        captured_at=capture_time(record),
        data=record.value,
        content_type=_text("content-type", headers.get("content-type")) or "application/octet-stream",
        position=FramePosition(partition.topic, partition.number, record.offset),
        model=_text("ce_model", headers.get("ce_model")) or None,
        sequence=_text("ce_sequence", headers.get("ce_sequence")) or None,
        trace=(
            TraceContext(traceparent, _text("tracestate", headers.get("tracestate")) or None)
            if traceparent
            else None
        ),
    )


def trace_of(headers: Headers) -> TraceContext | None:
    """The trace that a record belongs to, as far as that can be told whatever its headers hold."""
    last = dict(headers)
    traceparent, tracestate = (_readable(last.get(name)) for name in _TRACE_HEADERS)
    return TraceContext(traceparent, tracestate or None) if traceparent else None


def with_trace(headers: Headers, trace: TraceContext) -> Headers:
    """The headers of a record that belongs to this trace, whatever it belonged to before."""
    return (*(one for one in headers if one[0] not in _TRACE_HEADERS), *_trace_headers(trace))


def capture_time(record: Record) -> datetime:
    """When a frame's picture was taken, told by the frame or by its detections; else when it was published.

    Raises:
        InvalidHeaderError: It is no RFC 3339 time.
    """
    captured_at = _text("ce_time", dict(record.headers).get("ce_time"))
    return _parse_time(captured_at) if captured_at else _record_time(record)


def wanted_model(record: Record) -> str | None:
    """The one model that a frame is for, as far as that can be told without reading the rest of it."""
    return (dict(record.headers).get("ce_model") or b"").decode(errors="replace") or None


def detections_json(
    frame: EncodedFrame, detections: Detections, model: ModelInForce, timing: Timing | None = None
) -> dict[str, Any]:
    """The detection message as an object; field names follow NVIDIA's metadata schema.

    Scores are 0..1, boxes are pixels of the original image. A picture that came from no stream has no timing.
    """
    message: dict[str, Any] = {
        "version": SCHEMA_VERSION,
        "id": frame.frame_id,
        "sensorId": frame.camera_id,
        "timestamp": format_time(frame.captured_at),
        "image": {"width": detections.width, "height": detections.height},
        "model": {
            "name": model.name,
            "version": model.version,
            "confidence": model.thresholds.confidence,
            "predictions": model.thresholds.predictions,
        },
        "objects": [
            {
                "type": label_of(int(class_id), model.labels),
                "classId": int(class_id),
                "confidence": round(float(score), 6),
                "bbox": dict(
                    zip(
                        _BOX_EDGES,
                        (round(float(edge), 2) for edge in box),
                        strict=True,
                    )
                ),
            }
            for box, score, class_id in zip(
                detections.boxes, detections.scores, detections.class_ids, strict=True
            )
        ],
    }
    if timing is not None:
        message["timing"] = {
            "waitMs": round(timing.wait_ms, 2),
            "decodeMs": round(timing.decode_ms, 2),
            "inferMs": round(timing.infer_ms, 2),
            "totalMs": round(timing.total_ms, 2),
            "batchSize": timing.batch_size,
        }
    if frame.position is not None:
        message["source"] = {
            "topic": frame.position.topic,
            "partition": frame.position.partition,
            "offset": frame.position.offset,
        }
    return message


def detections_from_json(message: Mapping[str, Any]) -> tuple[Detections, dict[int, str]]:
    """Reads a detection message back, e.g. to draw it: the detections, and the labels that occur in them."""
    objects = message["objects"]
    boxes = [[found["bbox"][edge] for edge in _BOX_EDGES] for found in objects]
    detections = Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([found["confidence"] for found in objects], np.float32),
        class_ids=np.array([found["classId"] for found in objects], np.int32),
        width=message["image"]["width"],
        height=message["image"]["height"],
    )
    return detections, {found["classId"]: found["type"] for found in objects}


def detections_id(position: FramePosition, model_name: str) -> str:
    """The `ce_id` of a detection message: equal for equal frame and model, however often it is published."""
    name = f"{position.topic}/{position.partition}/{position.offset}/{model_name}"
    return str(uuid.uuid5(_DETECTIONS_NAMESPACE, name))


def encode_detections(
    frame: EncodedFrame, detections: Detections, model: ModelInForce, timing: Timing
) -> OutgoingRecord:
    """The detections of one frame as they are published, under the camera's key.

    Raises:
        ValueError: The frame was not read from the bus.
    """
    if frame.position is None:
        raise ValueError(f"frame {frame.frame_id} has no position on the bus")
    headers: Headers = (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_type", DETECTIONS_TYPE.encode()),
        ("ce_source", f"/models/{model.name}".encode()),
        ("ce_subject", frame.camera_id.encode()),
        ("ce_id", detections_id(frame.position, model.name).encode()),
        ("ce_time", format_time(frame.captured_at).encode()),
        *_trace_headers(frame.trace),
    )
    value = orjson.dumps(detections_json(frame, detections, model, timing))
    return OutgoingRecord(detections_topic(model.name), frame.camera_id.encode(), value, headers)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. `2026-01-31T12:00:00.250Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows `t` and `z`
        if moment.tzinfo is None:
            raise ValueError("it has no time zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidHeaderError(
            f"ce_time is {text[:64]!r} ({error}); write an RFC 3339 time such as 2026-01-31T12:00:00.250Z"
        ) from error


def _record_time(record: Record) -> datetime:
    try:
        return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidHeaderError(
            f"there is no ce_time, and the record's timestamp {record.timestamp_ms} ms is no date"
        ) from error


def _text(what: str, value: bytes | None) -> str:
    if value is not None and len(value) > _MAX_TEXT_BYTES:
        raise InvalidHeaderError(f"{what} has {len(value)} bytes; {_MAX_TEXT_BYTES} is the most")
    try:
        return (value or b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidHeaderError(f"{what} is not UTF-8: {error}") from error


def _readable(value: bytes | None) -> str:
    return "" if value is None or len(value) > _MAX_TEXT_BYTES else value.decode(errors="replace")


def _trace_headers(trace: TraceContext | None) -> Headers:
    if trace is None:
        return ()
    headers: list[tuple[str, bytes | None]] = [("traceparent", trace.traceparent.encode())]
    if trace.tracestate:
        headers.append(("tracestate", trace.tracestate.encode()))
    return tuple(headers)

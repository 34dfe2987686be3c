import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebus import wire
from framebus.detections import Detections, Thresholds
from framebus.frames import EncodedFrame, FramePosition, TraceContext

MODEL = wire.ModelInForce("ssd", "0123456789ab", Thresholds(confidence=60, predictions=15), {1: "person"})
TIMING = wire.Timing(wait_ms=4.111, decode_ms=2, infer_ms=13.9, total_ms=41.006, batch_size=8)
CAPTURED_AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)
FRAME = EncodedFrame(
    camera_id="cam-7",
    frame_id="frame-1",
    captured_at=CAPTURED_AT,
    data=b"picture",
    position=FramePosition("frames", 3, 123),
)


def found(*objects: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    return Detections(
        boxes=np.array([box for box, _, _ in objects], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in objects], np.float32),
        class_ids=np.array([class_id for _, _, class_id in objects], np.int32),
        width=1920,
        height=1080,
    )


def test_a_detection_message_has_the_shape_of_the_wire_format() -> None:
    detections = found(((10, 20, 110.004, 220.006), 0.93, 1), ((0, 0, 1920, 1080), 2 / 3, 44))

    assert wire.detections_json(FRAME, detections, MODEL, TIMING) == {
        "version": "1.0",
        "id": "frame-1",
        "sensorId": "cam-7",
        "timestamp": "2026-01-31T12:00:00.250Z",
        "image": {"width": 1920, "height": 1080},
        "model": {"name": "ssd", "version": "0123456789ab", "confidence": 60, "predictions": 15},
        "objects": [
            {
                "type": "person",
                "classId": 1,
                "confidence": 0.93,
                "bbox": {"leftX": 10.0, "topY": 20.0, "rightX": 110.0, "bottomY": 220.01},
            },
            {
                "type": "44",
                "classId": 44,
                "confidence": 0.666667,
                "bbox": {"leftX": 0.0, "topY": 0.0, "rightX": 1920.0, "bottomY": 1080.0},
            },
        ],
        "timing": {"waitMs": 4.11, "decodeMs": 2, "inferMs": 13.9, "totalMs": 41.01, "batchSize": 8},
        "source": {"topic": "frames", "partition": 3, "offset": 123},
    }


def test_a_frame_with_nothing_in_it_has_an_empty_list_of_objects() -> None:
    assert wire.detections_json(FRAME, found(), MODEL, TIMING)["objects"] == []


def test_a_picture_from_no_stream_has_neither_timing_nor_source() -> None:
    message = wire.detections_json(replace(FRAME, position=None), found(), MODEL)

    assert set(message) == {"version", "id", "sensorId", "timestamp", "image", "model", "objects"}


def test_detections_are_a_cloudevent_under_the_cameras_key() -> None:
    frame = replace(FRAME, camera_id="größe", trace=TraceContext("00-4bf92f35-00f067aa-01"))

    outgoing = wire.encode_detections(frame, found(((1, 2, 3, 4), 0.5, 1)), MODEL, TIMING)

    assert outgoing.topic == "detections.ssd"
    assert outgoing.key == "größe".encode()
    assert outgoing.headers == (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_type", b"io.framebus.detections.v1"),
        ("ce_source", b"/models/ssd"),
        ("ce_subject", "größe".encode()),
        ("ce_id", b"ed79aea3-0d81-5cd6-a363-b3d90cacd932"),
        ("ce_time", b"2026-01-31T12:00:00.250Z"),
        ("traceparent", b"00-4bf92f35-00f067aa-01"),
    )
    assert outgoing.value is not None
    message = json.loads(outgoing.value)
    assert message["sensorId"] == "größe"
    assert message["objects"][0]["confidence"] == 0.5


def test_detections_of_a_frame_that_was_never_on_the_bus_cannot_be_published() -> None:
    with pytest.raises(ValueError, match="frame-1 has no position"):
        wire.encode_detections(replace(FRAME, position=None), found(), MODEL, TIMING)


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@settings(deadline=None)
@given(
    edges=st.tuples(*[st.floats(width=32)] * 4),
    score=st.floats(width=32),
    class_id=st.integers(-(2**31), 2**31 - 1),
    times_ms=st.tuples(*[st.floats()] * 4),
    camera_id=st.text(),
)
def test_a_message_is_valid_json_whatever_an_engine_says(
    edges: tuple[float, float, float, float],
    score: float,
    class_id: int,
    times_ms: tuple[float, float, float, float],
    camera_id: str,
) -> None:
    outgoing = wire.encode_detections(
        replace(FRAME, camera_id=camera_id),
        found((edges, score, class_id)),
        MODEL,
        wire.Timing(*times_ms, batch_size=1),
    )

    assert outgoing.value is not None
    message = json.loads(outgoing.value, parse_constant=no_constant)
    assert message["sensorId"] == camera_id
    assert message["objects"][0]["classId"] == class_id


def test_the_id_of_a_detection_message_never_changes() -> None:
    """Subscribers recognise a repeated message by it, over versions of framebus too."""
    position = FramePosition("frames", 3, 123)

    assert wire.detections_id(position, "ssd") == "ed79aea3-0d81-5cd6-a363-b3d90cacd932"


def test_another_topic_partition_offset_or_model_has_another_id() -> None:
    ids = {
        wire.detections_id(FramePosition(topic, partition, offset), model)
        for topic in ("frames", "frames2")
        for partition in (1, 2, 12)
        for offset in (1, 2, 12)
        for model in ("a", "b")
    }

    assert len(ids) == 2 * 3 * 3 * 2

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framebus import wire
from framebus.bus import Headers, OutgoingRecord, Partition, Record
from framebus.detections import Detections, Thresholds
from framebus.errors import FrameError, InvalidHeaderError, UndecodableFrameError, UnknownModelError
from framebus.frames import EncodedFrame, FramePosition, TraceContext
from tests.pictures import record

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
MAX_BYTES = 100_000


def read_back(outgoing: OutgoingRecord, partition: int = 0, offset: int = 0) -> Record:
    """The record as a consumer gets it."""
    return Record(
        Partition(outgoing.topic, partition), offset, 0, outgoing.key, outgoing.value or b"", outgoing.headers
    )


def found(*objects: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    return Detections(
        boxes=np.array([box for box, _, _ in objects], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in objects], np.float32),
        class_ids=np.array([class_id for _, _, class_id in objects], np.int32),
        width=1920,
        height=1080,
    )


# Frames

words = st.text(min_size=1, max_size=50)
frames = st.builds(
    EncodedFrame,
    camera_id=words,
    frame_id=words,
    captured_at=st.datetimes(timezones=st.just(UTC)),
    data=st.binary(min_size=1, max_size=50),
    content_type=words,
    model=st.none() | words,
    sequence=st.none() | words,
    trace=st.none() | st.builds(TraceContext, words, st.none() | words),
)


@given(frame=frames, partition=st.integers(0, 2**31 - 1), offset=st.integers(0, 2**63 - 1))
def test_a_published_frame_is_read_as_it_was(frame: EncodedFrame, partition: int, offset: int) -> None:
    outgoing = wire.encode_frame(frame, "frames")

    assert wire.decode_frame(read_back(outgoing, partition, offset)) == replace(
        frame,
        captured_at=frame.captured_at.replace(microsecond=frame.captured_at.microsecond // 1000 * 1000),
        position=FramePosition("frames", partition, offset),
    )


def test_a_frame_is_a_cloudevent_under_its_cameras_key() -> None:
    frame = replace(
        FRAME, model="ssd", sequence="17", trace=TraceContext("00-4bf92f35-00f067aa-01", "vendor=1")
    )

    assert wire.encode_frame(frame, "pictures") == OutgoingRecord(
        "pictures",
        b"cam-7",
        b"picture",
        (
            ("content-type", b"image/jpeg"),
            ("ce_specversion", b"1.0"),
            ("ce_type", b"io.framebus.frame.v1"),
            ("ce_source", b"/cameras/cam-7"),
            ("ce_id", b"frame-1"),
            ("ce_time", b"2026-01-31T12:00:00.250Z"),
            ("ce_model", b"ssd"),
            ("ce_sequence", b"17"),
            ("traceparent", b"00-4bf92f35-00f067aa-01"),
            ("tracestate", b"vendor=1"),
        ),
    )


def test_a_picture_with_only_a_key_is_a_frame() -> None:
    bare = record(b"picture", key=b"cam-1", partition=2, offset=5, timestamp_ms=1_700_000_000_123)

    assert wire.decode_frame(bare) == EncodedFrame(
        camera_id="cam-1",
        frame_id="frames/2/5",
        captured_at=datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC),
        data=b"picture",
        content_type="application/octet-stream",
        position=FramePosition("frames", 2, 5),
    )


@pytest.mark.parametrize("key", [None, b""])
def test_without_a_key_the_partition_stands_for_the_camera(key: bytes | None) -> None:
    assert wire.decode_frame(record(b"picture", key=key, partition=2)).camera_id == "frames/2"


@pytest.mark.parametrize(
    "name", ["content-type", "ce_id", "ce_time", "ce_model", "ce_sequence", "traceparent", "tracestate"]
)
@pytest.mark.parametrize("value", [None, b""])
def test_an_empty_header_is_a_missing_one(name: str, value: bytes | None) -> None:
    assert wire.decode_frame(record(b"picture", headers=((name, value),))) == wire.decode_frame(
        record(b"picture")
    )


def test_headers_that_are_not_ours_are_no_matter() -> None:
    strange: Headers = (("x", b"\xff\xfe"), ("ce_unknown", None), ("", b""), ("größe", b"1"))

    assert wire.decode_frame(record(b"picture", headers=strange)) == wire.decode_frame(record(b"picture"))


def test_of_headers_with_one_name_the_last_counts() -> None:
    twice: Headers = (("ce_id", b"first"), ("ce_model", b"\xff"), ("ce_id", b"last"), ("ce_model", b"ssd"))

    frame = wire.decode_frame(record(b"picture", headers=twice))

    assert (frame.frame_id, frame.model) == ("last", "ssd")


def test_a_tracestate_without_its_traceparent_is_dropped() -> None:
    assert wire.decode_frame(record(b"picture", headers=(("tracestate", b"a=1"),))).trace is None


@pytest.mark.parametrize(
    "name", ["content-type", "ce_id", "ce_time", "ce_model", "ce_sequence", "traceparent", "tracestate"]
)
def test_a_header_that_is_not_utf8_is_refused_by_name(name: str) -> None:
    headers: Headers = (("traceparent", b"00-1"), (name, b"caf\xe9"))

    with pytest.raises(InvalidHeaderError, match=f"{name} is not UTF-8"):
        wire.decode_frame(record(b"picture", headers=headers))


def test_a_key_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidHeaderError, match="the key is not UTF-8"):
        wire.decode_frame(record(b"picture", key=b"\xff\xfe"))


def test_a_record_without_a_value_is_no_frame() -> None:
    with pytest.raises(UndecodableFrameError, match="no value"):
        wire.decode_frame(record(b""))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.25Z", CAPTURED_AT),
        ("2026-01-31T12:00:00.250999999Z", CAPTURED_AT.replace(microsecond=250_999)),
        ("2026-01-31T17:30:00.250+05:30", CAPTURED_AT),
        ("2026-01-31 04:00:00.250-08:00", CAPTURED_AT),
        ("2026-01-31T12:00:00.250-00:00", CAPTURED_AT),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)),
    ],
)
def test_a_capture_time_is_read_as_utc(text: str, moment: datetime) -> None:
    captured_at = wire.decode_frame(record(b"picture", headers=(("ce_time", text.encode()),))).captured_at

    assert captured_at == moment
    assert captured_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "1700000000",
        "2026-01-31T12:00:00",
        "2026-01-31",
        "2026-02-30T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "-" * 10_000,
    ],
)
def test_another_capture_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidHeaderError) as refusal:
        wire.decode_frame(record(b"picture", headers=(("ce_time", text.encode()),)))

    message = str(refusal.value)
    assert message.startswith(f"ce_time is {text[:64]!r}")
    assert message.endswith("write an RFC 3339 time such as 2026-01-31T12:00:00.250Z")


@pytest.mark.parametrize(
    ("timestamp_ms", "moment"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)),
        (253_402_300_799_000, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_without_a_capture_time_the_records_time_counts(timestamp_ms: int, moment: datetime) -> None:
    assert wire.decode_frame(record(b"picture", timestamp_ms=timestamp_ms)).captured_at == moment


@pytest.mark.parametrize("timestamp_ms", [253_402_300_800_000, 2**63 - 1, -(2**63), -62_135_596_800_001])
def test_a_records_time_that_is_no_date_is_refused(timestamp_ms: int) -> None:
    with pytest.raises(InvalidHeaderError, match=f"{timestamp_ms} ms is no date"):
        wire.decode_frame(record(b"picture", timestamp_ms=timestamp_ms))


def test_a_capture_time_excuses_a_records_time_that_is_no_date() -> None:
    headers: Headers = (("ce_time", b"2026-01-31T12:00:00.250Z"),)

    assert (
        wire.decode_frame(record(b"picture", headers=headers, timestamp_ms=2**62)).captured_at == CAPTURED_AT
    )


def test_times_are_written_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 1, 31, 17, 30, 0, 250_999, timezone(timedelta(hours=5, minutes=30)))

    assert wire.format_time(moment) == "2026-01-31T12:00:00.250Z"


# Detections


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


# Dead letters


def dead_letter(
    original: Record, error: FrameError | None = None, max_bytes: int = MAX_BYTES
) -> OutgoingRecord:
    return wire.encode_dead_letter(
        original,
        error or UndecodableFrameError("not a picture"),
        topic="frames.dead",
        model_name="ssd",
        max_bytes=max_bytes,
    )


def said(letter: OutgoingRecord) -> str:
    return (dict(letter.headers)["fb_message"] or b"").decode()


def test_a_dead_letter_is_the_record_as_it_was_and_why_it_died() -> None:
    headers: Headers = (("ce_id", b"1"), ("ce_id", b"2"), ("empty", None), ("binary", b"\xff\x00"))
    original = record(b"\xff\xd8 no picture", key=b"\xff cam", headers=headers, partition=4, offset=77)

    letter = dead_letter(original, UnknownModelError("ce_model names yolo"))

    assert letter == OutgoingRecord(
        "frames.dead",
        b"\xff cam",
        b"\xff\xd8 no picture",
        (
            *headers,
            ("fb_error", b"unknown_model"),
            ("fb_message", b"ce_model names yolo"),
            ("fb_model", b"ssd"),
            ("fb_topic", b"frames"),
            ("fb_partition", b"4"),
            ("fb_offset", b"77"),
        ),
    )


def test_a_dead_letter_without_a_key_has_none_either() -> None:
    assert dead_letter(record(b"x", key=None)).key is None


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("two\nlines", "two\nlines"),
        ("größer als 猫 🐈", "größer als 猫 🐈"),
        ("half a \ud83d pair", "half a ? pair"),
        ("", ""),
        ("🐈" * 5_000, "🐈" * 1_000),
    ],
)
def test_an_error_text_of_any_kind_is_kept_within_bounds(message: str, kept: str) -> None:
    letter = dead_letter(record(b"x"), UndecodableFrameError(message))

    assert said(letter) == kept
    assert letter.value == b"x"


@pytest.mark.parametrize(
    ("value", "headers", "key", "left_out"),
    [
        (99_000, 0, 10, None),
        (100_000, 0, 10, "value"),
        (99_900, 0, 10, "value"),
        (50_000, 60_000, 10, "value"),
        (10, 100_000, 10, "value and headers"),
        (10, 60_000, 60_000, "value and headers"),
        (0, 0, 100_000, "value, headers and key"),
        (10**6, 10**6, 10**6, "value, headers and key"),
    ],
)
def test_a_dead_letter_that_would_be_too_large_leaves_out_what_it_must_and_says_so(
    value: int, headers: int, key: int, left_out: str | None
) -> None:
    original = record(b"v" * value, key=b"k" * key, headers=(("h", b"h" * headers),))

    letter = dead_letter(original)

    missing = left_out or ""
    assert letter.value == (b"" if "value" in missing else original.value)
    assert letter.key == (None if "key" in missing else original.key)
    assert ("h" not in dict(letter.headers)) == ("headers" in missing)
    assert said(letter).startswith("not a picture")
    assert (f"({left_out} left out: " in said(letter)) == (left_out is not None)
    assert dict(letter.headers)["fb_offset"] == b"0"


def batch_bytes(outgoing: OutgoingRecord) -> int:
    """What a broker holds against `max.message.bytes`: a record in a batch of its own, not compressed.

    Layout: https://kafka.apache.org/documentation/#recordbatch
    """

    def varint_bytes(number: int) -> int:
        return max(1, -(-(2 * number).bit_length() // 7))

    def field_bytes(field: bytes | None) -> int:
        return varint_bytes(len(field or b"")) + len(field or b"")

    record_bytes = (
        3  # attributes, and the differences of time and offset to the batch, which are none
        + field_bytes(outgoing.key)
        + field_bytes(outgoing.value)
        + varint_bytes(len(outgoing.headers))
        + sum(field_bytes(name.encode()) + field_bytes(value) for name, value in outgoing.headers)
    )
    return 61 + varint_bytes(record_bytes) + record_bytes


def test_no_dead_letter_near_the_limit_is_over_it() -> None:
    for size in range(MAX_BYTES - 600, MAX_BYTES + 1):
        for original in (
            record(b"v" * size),
            record(b"v", key=b"k" * size),
            record(b"v", headers=(("h", b"h" * size),)),
        ):
            assert batch_bytes(dead_letter(original, UndecodableFrameError("ü"))) <= MAX_BYTES


@settings(max_examples=300, deadline=None)
@given(
    value=st.integers(0, MAX_BYTES + 1_000),
    key=st.integers(0, MAX_BYTES + 1_000) | st.integers(0, 50),
    headers=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50_000)), max_size=3),
    empty_headers=st.integers(0, 40_000),
    message=st.integers(0, 2_000),
)
@example(value=10, key=10, headers=[], empty_headers=33_300, message=0)
def test_no_dead_letter_is_over_the_limit_and_each_says_whether_it_is_whole(
    value: int, key: int, headers: list[tuple[int, int]], empty_headers: int, message: int
) -> None:
    original = record(
        b"v" * value,
        key=b"k" * key,
        headers=(
            *(("n" * name, b"h" * content) for name, content in headers),
            *((("e", None),) * empty_headers),
        ),
    )

    letter = dead_letter(original, UndecodableFrameError("ü" * message))

    assert batch_bytes(letter) <= MAX_BYTES
    whole = (letter.value, letter.key, letter.headers[:-6]) == (
        original.value,
        original.key,
        original.headers,
    )
    assert whole != ("left out" in said(letter))

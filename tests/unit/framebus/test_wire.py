from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebus import wire
from framebus.bus import Headers, OutgoingRecord, Partition, Record
from framebus.errors import InvalidHeaderError, UndecodableFrameError
from framebus.frames import EncodedFrame, FramePosition, TraceContext
from tests.pictures import record

CAPTURED_AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)
FRAME = EncodedFrame(
    camera_id="cam-7",
    frame_id="frame-1",
    captured_at=CAPTURED_AT,
    data=b"picture",
    position=FramePosition("frames", 3, 123),
)


def read_back(outgoing: OutgoingRecord, partition: int = 0, offset: int = 0) -> Record:
    """The record as a consumer gets it."""
    return Record(
        Partition(outgoing.topic, partition), offset, 0, outgoing.key, outgoing.value or b"", outgoing.headers
    )


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


@settings(deadline=None)
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


def test_a_record_can_be_given_another_trace() -> None:
    headers: Headers = (
        ("traceparent", b"00-1"),
        ("extra", b"kept"),
        ("tracestate", b"old=1"),
        ("extra", None),
    )

    given = wire.with_trace(headers, TraceContext("00-2"))

    assert given == (("extra", b"kept"), ("extra", None), ("traceparent", b"00-2"))
    assert wire.trace_of(given) == TraceContext("00-2")
    assert wire.trace_of(headers) == TraceContext("00-1", "old=1")


@pytest.mark.parametrize("value", [None, b"", b"x" * 1_025])
def test_what_cannot_be_a_trace_is_none(value: bytes | None) -> None:
    assert wire.trace_of((("traceparent", value), ("tracestate", b"vendor=1"))) is None
    assert wire.trace_of((("traceparent", b"00-1"), ("traceparent", value))) is None
    assert wire.trace_of((("traceparent", b"00-1"), ("tracestate", value))) == TraceContext("00-1")


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
        "-" * 1_000,
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


@pytest.mark.parametrize("name", ["ce_id", "ce_time", "ce_model", "traceparent", "tracestate"])
def test_a_header_that_would_blow_up_every_message_is_refused(name: str) -> None:
    headers = (("traceparent", b"00-1"), (name, b"x" * 1_025))

    with pytest.raises(InvalidHeaderError, match=f"{name} has 1025 bytes; 1024 is the most"):
        wire.decode_frame(record(b"picture", headers=headers))


def test_a_key_that_would_blow_up_every_message_is_refused() -> None:
    with pytest.raises(InvalidHeaderError, match="the key has 1025 bytes"):
        wire.decode_frame(record(b"picture", key=b"x" * 1_025))

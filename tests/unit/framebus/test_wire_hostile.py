"""Records that anybody may have published."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from framebus import wire
from framebus.bus import Partition, Record
from framebus.errors import InvalidHeaderError, UndecodableFrameError

NAMES = ["content-type", "ce_id", "ce_time", "ce_model", "ce_sequence", "traceparent", "tracestate"]

digits = st.text("0123456789-+:.,TtZzW \uff11", max_size=40).map(str.encode)
moments = st.datetimes().map(lambda moment: moment.isoformat().encode())
texts = st.none() | st.binary(max_size=1_100) | st.text(max_size=600).map(str.encode)
headers = st.lists(
    st.tuples(st.just("ce_time"), digits | moments)
    | st.tuples(st.sampled_from(NAMES) | st.text(max_size=20), texts)
)
records = st.builds(
    Record,
    partition=st.builds(Partition, st.just("frames"), st.integers(0, 2**31 - 1)),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**33), 2**43),
    key=texts,
    value=st.binary(max_size=20),
    headers=headers.map(tuple),
)


@settings(max_examples=1_000, deadline=None)
@given(record=records)
def test_any_record_is_a_frame_or_refused_and_names_a_model_all_the_same(record: Record) -> None:
    wanted = wire.wanted_model(record)
    try:
        frame = wire.decode_frame(record)
    except (InvalidHeaderError, UndecodableFrameError):
        return
    assert frame.data == record.value
    assert frame.model == wanted
    assert frame.captured_at.utcoffset() == timedelta(0)
    texts = (frame.camera_id, frame.frame_id, frame.content_type)
    assert all(0 < len(text.encode()) <= 1_024 for text in texts)


@given(count=st.integers(0, 20_000), name=st.sampled_from(NAMES))
@settings(max_examples=20, deadline=None)
def test_thousands_of_headers_are_read_as_the_last_of_each_name(count: int, name: str) -> None:
    record = Record(Partition("frames", 0), 0, 0, b"cam", b"picture", ((name, b"\xff"),) * count)
    last = Record(Partition("frames", 0), 0, 0, b"cam", b"picture", ((name, b""),))

    assert wire.decode_frame(
        Record(Partition("frames", 0), 0, 0, b"cam", b"picture", (*record.headers, *last.headers))
    ) == wire.decode_frame(last)

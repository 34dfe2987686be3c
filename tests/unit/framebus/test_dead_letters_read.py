"""Reading dead letters, and making frames of them again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebus import wire
from framebus.bus import Headers, OutgoingRecord, Partition, Record
from framebus.dead_letters import (
    DeadLetter,
    decode_dead_letter,
    encode_dead_letter,
    encode_replay,
    restore,
)
from framebus.errors import DeadLetterError, FrameError, UndecodableFrameError
from framebus.frames import EncodedFrame, FramePosition
from tests.pictures import record

DIED_MS = 1_700_000_060_000
SOURCE: Headers = (("fb_topic", b"frames"), ("fb_partition", b"3"), ("fb_offset", b"7"))
LEAST: Headers = (("fb_error", b"undecodable"), ("fb_model", b"ssd"), *SOURCE)


def as_read(outgoing: OutgoingRecord, offset: int = 17, timestamp_ms: int = DIED_MS) -> Record:
    partition = Partition(outgoing.topic, 2)
    return Record(partition, offset, timestamp_ms, outgoing.key, outgoing.value or b"", outgoing.headers)


def written(frame: Record, error: FrameError | None = None, max_bytes: int = 100_000) -> Record:
    error = error or UndecodableFrameError("no picture")
    letter = encode_dead_letter(frame, error, topic="frames.dead", model_name="ssd", max_bytes=max_bytes)
    return as_read(letter)


def read(frame: Record, max_bytes: int = 100_000) -> DeadLetter:
    return decode_dead_letter(written(frame, max_bytes=max_bytes))


def replayed(frame: Record) -> EncodedFrame:
    """The frame as a consumer reads it the second time."""
    return wire.decode_frame(as_read(encode_replay(read(frame)), offset=99))


def test_a_dead_letter_is_read_as_it_was_written() -> None:
    headers: Headers = (("ce_id", b"42"), ("empty", None), ("binary", b"\xff\x00"))

    assert read(record(b"no picture", headers=headers, partition=3, offset=7)) == DeadLetter(
        place=FramePosition("frames.dead", 2, 17),
        died_at=datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC),
        reason="undecodable",
        message="no picture",
        model="ssd",
        source=FramePosition("frames", 3, 7),
        published_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        key=b"cam-1",
        value=b"no picture",
        headers=headers,
        left_out="",
    )


@settings(max_examples=200, deadline=None)
@given(
    key=st.none() | st.binary(max_size=20),
    value=st.binary(max_size=50),
    headers=st.lists(
        st.tuples(st.sampled_from(["ce_id", "ce_model", "x"]), st.none() | st.binary(max_size=9))
    ),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
)
def test_whatever_died_is_read_as_it_was(
    key: bytes | None, value: bytes, headers: list[tuple[str, bytes | None]], timestamp_ms: int
) -> None:
    letter = read(record(value, key=key, headers=tuple(headers), timestamp_ms=timestamp_ms))

    assert (letter.key, letter.value, letter.headers) == (key, value, tuple(headers))


@pytest.mark.parametrize("timestamp_ms", [0, -1, 2**62])
def test_a_frame_without_a_time_leaves_it_out(timestamp_ms: int) -> None:
    dead = written(record(timestamp_ms=timestamp_ms))

    assert "fb_time" not in dict(dead.headers)
    assert decode_dead_letter(dead).published_at is None


def test_a_frame_that_was_a_dead_letter_before_is_told_from_its_new_one() -> None:
    """Somebody has published a dead letter to the frames as it stood, by other means than a replay."""
    before = written(record(b"v" * 1_000, offset=7), max_bytes=600)
    letter = read(record(b"again", headers=before.headers, offset=8))

    assert (letter.source.offset, letter.left_out, letter.headers) == (8, "", ())


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ((), "fb_error is missing"),
        (LEAST[1:], "fb_error is missing"),
        ((("fb_error", None), *LEAST[1:]), "fb_error is missing"),
        ((("fb_error", b"\x1b[2J"), *LEAST[1:]), r"fb_error is '\x1b[2J'"),
        ((LEAST[0], *SOURCE), "fb_model is missing"),
        ((LEAST[0], ("fb_model", b"no model"), *SOURCE), "fb_model is 'no model'"),
        ((*LEAST, ("fb_topic", b"")), "fb_topic is missing"),
        ((*LEAST, ("fb_topic", b"a/b")), "fb_topic is 'a/b'"),
        ((*LEAST, ("fb_topic", b"x" * 250)), "fb_topic is 'xxx"),
        ((*LEAST, ("fb_partition", b"-1")), "fb_partition is '-1'"),
        ((*LEAST, ("fb_partition", b"2147483648")), "fb_partition is 2147483648"),
        ((*LEAST, ("fb_offset", "٣".encode())), "fb_offset is"),
        ((*LEAST, ("fb_offset", b"9223372036854775808")), "fb_offset is 9223372036854775808"),
        ((*LEAST, ("fb_offset", b"1" * 5_000)), "fb_offset is"),
        ((*LEAST, ("fb_time", b"yesterday")), "fb_time is 'yesterday'"),
        ((*LEAST, ("fb_time", b"2023-11-14T22:13:20")), "fb_time is"),
        ((*LEAST, ("fb_time", b"0001-01-01T00:00:00+23:00")), "fb_time is"),
        ((*LEAST, ("fb_left_out", b"value\n")), r"fb_left_out is 'value\n'"),
    ],
)
def test_what_is_no_dead_letter_is_said_to_be_none(headers: Headers, what: str) -> None:
    with pytest.raises(DeadLetterError) as raised:
        decode_dead_letter(record(headers=headers))

    assert str(raised.value).startswith("it is no dead letter: the header ")
    assert what in str(raised.value)
    assert str(raised.value).isprintable()


@settings(max_examples=500, deadline=None)
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    *("fb_error", "fb_message", "fb_model", "fb_topic", "fb_partition", "fb_offset"),
                    *("fb_time", "fb_left_out", "ce_id"),
                ]
            ),
            st.none()
            | st.binary(max_size=12)
            | st.sampled_from([b"undecodable", b"ssd", b"7", b"2023-11-14T22:13:20Z", b"value"]),
        )
    ),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
)
def test_any_garbage_is_read_or_refused(headers: list[tuple[str, bytes | None]], timestamp_ms: int) -> None:
    mutated = record(headers=(*LEAST, *headers), timestamp_ms=timestamp_ms)
    try:
        letter = decode_dead_letter(mutated)
    except DeadLetterError:
        return
    assert not any(name.startswith("fb_") for name, _ in letter.headers)
    if not letter.left_out:
        assert encode_replay(letter).value == mutated.value


@pytest.mark.parametrize("key", [b"cam-1", None, b""])
def test_a_bare_frame_keeps_camera_id_and_time_when_it_is_replayed(key: bytes | None) -> None:
    bare = record(key=key, partition=3, offset=7)
    first, again = wire.decode_frame(bare), replayed(bare)

    assert again.frame_id == "frames/3/7"
    assert again.model == "ssd"
    assert (again.camera_id, again.frame_id, again.captured_at, again.data) == (
        first.camera_id,
        first.frame_id,
        first.captured_at,
        first.data,
    )


def test_a_full_frame_gets_nothing_but_the_model_that_failed() -> None:
    captured_at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    frame = EncodedFrame("gate", "42", captured_at, b"picture", sequence="9")
    full = as_read(wire.encode_frame(frame, "frames"))

    record_again = encode_replay(read(full))

    assert record_again == OutgoingRecord(
        "frames", b"gate", b"picture", (*full.headers, ("ce_model", b"ssd"))
    )


@pytest.mark.parametrize(("own", "then"), [(b"yolo", "yolo"), (b"", "ssd"), (None, "ssd")])
def test_a_frame_that_named_its_model_still_does(own: bytes | None, then: str) -> None:
    assert replayed(record(headers=(("ce_model", own),))).model == then


def test_a_frame_that_dies_again_is_still_the_same_frame() -> None:
    once = as_read(encode_replay(read(record(key=None, partition=3, offset=7))), offset=99)
    again = read(once)

    assert (again.source.offset, again.frame_id, again.camera_id) == (99, "frames/3/7", "frames/3")
    assert encode_replay(again).headers == once.headers


def test_a_frame_without_any_time_gets_none() -> None:
    record_again = encode_replay(read(record(timestamp_ms=0)))

    assert dict(record_again.headers) == {"ce_id": b"frames/0/0", "ce_model": b"ssd"}


@pytest.mark.parametrize(
    ("max_bytes", "left_out"),
    [(2_000, "value"), (1_000, "value and headers"), (600, "value, headers and key")],
)
def test_what_was_left_out_can_be_put_back(max_bytes: int, left_out: str) -> None:
    frame = record(b"v" * 1_500, key=b"k" * 300, headers=(("h", b"h" * 400),))
    letter = read(frame, max_bytes)
    with pytest.raises(DeadLetterError, match=f"^{left_out} left out"):
        encode_replay(letter)

    restored = restore(letter, frame)

    assert restored == replace(read(frame), message=letter.message)
    assert encode_replay(restored).value == frame.value


@pytest.mark.parametrize(
    "other", [record(timestamp_ms=1_700_000_000_001), record(key=b"cam-2"), record(key=None)]
)
def test_another_record_at_its_place_is_not_taken_for_it(other: Record) -> None:
    letter = read(record(b"v" * 1_500), max_bytes=800)
    assert letter.left_out == "value"

    with pytest.raises(DeadLetterError, match="another record stands there now"):
        restore(letter, other)

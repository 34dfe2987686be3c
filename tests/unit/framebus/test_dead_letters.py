import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framebus.bus import Headers, OutgoingRecord, Record
from framebus.dead_letters import encode_dead_letter
from framebus.errors import FrameError, UndecodableFrameError, UnknownModelError
from tests.pictures import record

MAX_BYTES = 100_000


def dead_letter(
    original: Record, error: FrameError | None = None, max_bytes: int = MAX_BYTES
) -> OutgoingRecord:
    return encode_dead_letter(
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
            ("fb_time", b"2023-11-14T22:13:20.000Z"),
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
    assert dict(letter.headers).get("fb_left_out") == (left_out.encode() if left_out else None)
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
    own_headers = tuple(header for header in letter.headers if not header[0].startswith("fb_"))
    whole = (letter.value, letter.key, own_headers) == (original.value, original.key, original.headers)
    assert whole != ("left out" in said(letter))

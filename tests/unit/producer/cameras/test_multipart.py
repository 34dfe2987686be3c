from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.cameras.multipart import parts

LIMIT_BYTES = 1_000


def read(body: bytes, boundary: str = "frame") -> list[bytes | None]:
    return list(parts(BytesIO(body), boundary, LIMIT_BYTES))


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("frame", b"--frame\r\nContent-Length: 3\r\n\r\none\r\n--frame\r\nContent-Length: 3\r\n\r\ntwo\r\n"),
        ("frame", b"--frame\r\n\r\none\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\ntwo\r\n"),
        ("--frame", b"--frame\r\n\r\none\r\n--frame\r\n\r\ntwo\r\n"),
        ("--frame", b"----frame\r\n\r\none\r\n----frame\r\n\r\ntwo\r\n--"),
        ("frame", b"HTTP is a preamble\r\n\r\n--frame\r\n\r\none\r\n--frame\r\n\r\ntwo\r\n"),
        ("frame", b"\r\n--frame\n\none\n--frame\n\ntwo\n"),
        ("frame", b"--frame\r\ncontent-length:3\r\n\r\none--frame\r\n\r\ntwo"),
        ("frame", b"--frame\r\nContent-Length: 3\r\n\r\none\r\n\r\n\r\n--frame\r\n\r\ntwo\r\n"),
    ],
    ids=[
        "lengths",
        "boundaries",
        "dashes",
        "more dashes",
        "preamble",
        "newlines",
        "no newline",
        "blank lines",
    ],
)
def test_every_part_comes_whole_whatever_the_camera_s_manners(boundary: str, body: bytes) -> None:
    assert read(body + b"--frame--\r\n", boundary) == [b"one", b"two"]


@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
def test_any_bytes_come_back_as_they_were(bodies: list[bytes], with_lengths: bool) -> None:
    body = b"".join(
        b"--b0undary\r\n"
        + (b"Content-Length: %d\r\n" % len(part) if with_lengths else b"")
        + b"\r\n"
        + part
        + b"\r\n"
        for part in bodies
    )

    assert read(body + b"--b0undary--\r\n", "b0undary") == bodies


def test_parts_before_the_end_of_a_broken_stream_are_given() -> None:
    stream = parts(
        BytesIO(b"--frame\r\nContent-Length: 3\r\n\r\none\r\n--frame\r\nCont"), "frame", LIMIT_BYTES
    )

    assert next(stream) == b"one"
    with pytest.raises(EOFError, match="the stream ended"):
        next(stream)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--frame\r\n\r\nhalf a picture",
        b"--frame\r\nContent-Length: 10\r\n\r\nhalf",
        b"--frame\r\nContent-Length: 1001\r\n\r\nhalf",
    ],
    ids=["at once", "without length", "with length", "too long"],
)
def test_a_part_that_is_cut_off_is_not_given(body: bytes) -> None:
    with pytest.raises(EOFError, match="the stream ended"):
        read(body)


@pytest.mark.parametrize("length", [1_001, 16_000])
def test_a_part_that_is_too_long_is_passed_over_where_its_end_is_known(length: int) -> None:
    long = b"--frame\r\nContent-Length: %d\r\n\r\n%s\r\n" % (length, bytes(length))
    short = b"--frame\r\nContent-Length: 1000\r\n\r\n%s\r\n" % bytes(1_000)

    assert read(short + long + short + b"--frame--") == [bytes(1_000), None, bytes(1_000)]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"--frame\r\nContent-Length: 16001\r\n\r\n", "Content-Length is more than 16000"),
        (b"--frame\r\nContent-Length: -1\r\n\r\n", "Content-Length is no number"),
        (b"--frame\r\nContent-Length: long\r\n\r\n", "Content-Length is no number"),
        (b"--frame\r\n\r\n" + bytes(2_000), "no boundary within 1000 bytes"),
        (b"--frame\r\n\r\n" + b"line\n" * 2_000, "no boundary within 1000 bytes"),
        (b"<html>\n" * 2_000, "no boundary within 1000 bytes"),
    ],
)
def test_what_is_too_long_or_no_multipart_body_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read(body)

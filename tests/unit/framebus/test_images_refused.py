import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebus import images
from framebus.errors import FrameError, FrameTooLargeError, UndecodableFrameError
from tests.picture_files import FILES, MAX_PIXELS, each, file_of
from tests.pictures import picture


def claimed_size(data: bytes, width: int, height: int) -> bytes:
    """The same file with another size in its header."""
    changed = bytearray(data)
    if data.startswith(images.PNG_MAGIC):
        changed[16:24] = struct.pack(">II", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif data.startswith(images.JPEG_MAGIC):
        header = data.index(b"\xff\xc0")
        changed[header + 5 : header + 9] = struct.pack(">HH", height, width)
    elif data[12:16] == b"VP8 ":
        changed[26:30] = struct.pack("<HH", width, height)
    elif data[12:16] == b"VP8L":
        changed[21:25] = struct.pack("<I", (height - 1) << 14 | (width - 1))
    else:
        changed[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(changed)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\xff", "ff"),
        (b"\xff\xd8", "ff d8"),
        (b"GIF89a\x01\x00\x01\x00", "47 49 46"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "52 49 46 46"),
        (b"\x89PNG\r\n\n\n", "89 50 4e 47"),
        (b"<html>not found</html>", "3c 68 74"),
        ("Käse".encode(), "4b c3 a4"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_first_bytes(data: bytes, says: str) -> None:
    for read in (images.content_type, images.size, lambda data: images.decode(data, MAX_PIXELS)):
        with pytest.raises(UndecodableFrameError, match=f"not a JPEG, PNG or WebP image: .*{says}"):
            read(data)


@each(
    "png",
    "animated png",
    "webp",
    "lossy webp",
    "animated webp",
    "jpeg",
    "progressive jpeg",
    "cmyk jpeg",
    "jpeg with padding between segments",
    "jpeg with padding at a restart",
)
def test_a_file_that_is_cut_off_anywhere_is_refused_without_noise(
    data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for length in range(0, len(data), max(1, len(data) // 400)):
        with pytest.raises(UndecodableFrameError):
            images.decode(data[:length], MAX_PIXELS)
    with pytest.raises(UndecodableFrameError):
        images.decode(data[:-1], MAX_PIXELS)

    assert capfd.readouterr() == ("", "")


def test_a_png_with_any_bit_flipped_is_refused_without_noise(capfd: pytest.CaptureFixture[str]) -> None:
    data = file_of(picture(8, 6), "PNG")

    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((UndecodableFrameError, FrameTooLargeError)):
            images.decode(bytes(flipped), MAX_PIXELS)

    assert capfd.readouterr() == ("", "")


@each("jpeg", "progressive jpeg", "cmyk jpeg", "multi-picture jpeg")
def test_a_jpeg_that_lost_bytes_before_its_end_is_refused(data: bytes) -> None:
    end = data.index(b"\xff\xd9", data.index(b"\xff\xda"))

    with pytest.raises(UndecodableFrameError, match="the JPEG is damaged"):
        images.decode(data[: end - 30] + data[end:], MAX_PIXELS)


@each("webp", "lossy webp", "animated webp")
def test_a_webp_that_was_overwritten_is_refused_without_noise(
    data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UndecodableFrameError):
        images.decode(data[:20] + b"\xff" * (len(data) - 20), MAX_PIXELS * 10**10)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(claimed_size(FILES["png"], 0, 24), id="png"),
        pytest.param(claimed_size(FILES["jpeg"], 40, 0), id="jpeg"),
        pytest.param(claimed_size(FILES["lossy webp"], 0, 24), id="webp"),
        pytest.param(
            FILES["jpeg"][:2] + FILES["jpeg"][FILES["jpeg"].index(b"\xff\xda") :], id="no frame header"
        ),
        pytest.param(FILES["png"][:12] + b"tEXt" + FILES["png"][16:], id="no image header"),
        pytest.param(FILES["webp"][:12] + b"ICCP" + FILES["webp"][16:], id="no known chunk"),
    ],
)
def test_a_header_without_a_size_is_refused(data: bytes) -> None:
    with pytest.raises(UndecodableFrameError, match="header is damaged"):
        images.size(data)


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [
        ("png", 60_000, 60_000),
        ("png", 2**31 - 1, 2**31 - 1),
        ("jpeg", 65_500, 65_500),
        ("webp", 16_384, 16_384),
        ("lossy webp", 16_383, 16_383),
        ("turned webp", 2**24, 2**24),
    ],
)
def test_the_header_alone_decides_whether_a_picture_is_too_large(name: str, width: int, height: int) -> None:
    data = claimed_size(FILES[name], width, height)

    assert images.size(data) == (width, height)
    assert images.checked_size(data, width * height) == (width, height)
    for check in (images.checked_size, images.decode):
        with pytest.raises(
            FrameTooLargeError, match=f"{width}x{height} .*FRAMEBUS_CONSUMER__MAX_FRAME_PIXELS"
        ):
            check(data, width * height - 1)


@each()
def test_a_picture_of_exactly_the_limit_is_decoded(data: bytes) -> None:
    width, height = images.size(data)

    assert images.decode(data, width * height).shape == (height, width, 3)
    with pytest.raises(FrameTooLargeError):
        images.decode(data, width * height - 1)


def decodes_or_is_refused(data: bytes) -> None:
    try:
        image = images.decode(data, 100_000)
    except FrameError:
        return
    width, height = images.size(data)
    assert image.shape == (height, width, 3)
    assert width * height <= 100_000
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from(
        [b"", images.JPEG_MAGIC, images.PNG_MAGIC, b"RIFF\x40\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBP"]
    ),
    rest=st.binary(max_size=200),
)
def test_any_bytes_are_decoded_or_refused(start: bytes, rest: bytes) -> None:
    decodes_or_is_refused(start + rest)


@settings(max_examples=1000, deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_a_damaged_file_is_decoded_or_refused(
    name: str, changes: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(FILES[name])
    for place, value in changes:
        data[int(place * len(data))] = value

    decodes_or_is_refused(bytes(data[: int(kept * len(data))]))


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([name for name in FILES if "png" in name]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_a_png_made_to_harm_is_decoded_or_refused(name: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(FILES[name])
    for place, value in changes:
        data[8 + int(place * (len(data) - 8))] = value
    start = 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        data[end - 4 : end] = struct.pack(">I", zlib.crc32(data[start + 4 : end - 4]))
        start = end

    decodes_or_is_refused(bytes(data))

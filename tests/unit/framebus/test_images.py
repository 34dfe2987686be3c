import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from framebus import images
from framebus.detections import Detections
from framebus.errors import FrameError, FrameTooLargeError, UndecodableFrameError
from framebus.frames import Image
from tests.pictures import jpeg, picture

WIDTH, HEIGHT = 40, 24
PICTURE = picture(WIDTH, HEIGHT)
GREY = np.repeat(PICTURE[..., 1:2], 3, axis=2)
SIXTEEN_BITS = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH, 3), np.uint16)
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
MAX_PIXELS = 10**6


def file_of(image: Image, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    written = io.BytesIO()
    PillowImage.fromarray(image).convert(mode).save(written, kind, **options)
    return written.getvalue()


def opencv_file(image: NDArray[Any], suffix: str, *options: int) -> bytes:
    taken, data = cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image, options)
    assert taken
    return data.tobytes()


def turned_by_exif(kind: str) -> bytes:
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    return file_of(PICTURE, kind, exif=exif)


def with_second_picture(kind: str, **options: Any) -> bytes:
    second = PillowImage.fromarray(picture(WIDTH, HEIGHT, seed=1))
    return file_of(PICTURE, kind, save_all=True, append_images=[second], **options)


def ycck_jpeg() -> bytes:
    """YCCK as Adobe writes it: luma and chroma of the picture's negative stand for C, M and Y; no black."""
    negative = PillowImage.fromarray(255 - PICTURE).convert("YCbCr")
    channels = np.dstack([255 - np.asarray(negative), np.zeros((HEIGHT, WIDTH), np.uint8)])
    written = io.BytesIO()
    PillowImage.fromarray(channels, "CMYK").save(written, "JPEG", quality=95)
    data = bytearray(written.getvalue())
    data[data.index(b"Adobe") + 11] = 2  # the segment's last byte: which transform was used
    return bytes(data)


def resampled_jpeg() -> bytes:
    """4:4:1, which few programs write: one 4:1:1 block row, told to stand upright."""
    data = bytearray(opencv_file(picture(32, 8), ".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x411111))
    header = data.index(b"\xff\xc0")
    data[header + 5 : header + 9] = struct.pack(">HH", 32, 8)
    data[header + 11] = 0x14
    return bytes(data)


def padded_segments() -> bytes:
    data = jpeg(WIDTH, HEIGHT)
    for marker in (b"\xff\xdb", b"\xff\xc4", b"\xff\xda"):
        at = data.index(marker)
        data = data[:at] + b"\x00\x07\x00" + data[at:]
    return data


def padded_restarts() -> bytes:
    data = restarting()
    at = data.index(b"\xff\xd0")
    return data[:at] + b"\x00\x00" + data[at:]


def restarting() -> bytes:
    return opencv_file(PICTURE, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1)


EXACT = {
    "png": (file_of(PICTURE, "PNG"), PICTURE),
    "png with alpha": (file_of(np.dstack([PICTURE, ALPHA]), "PNG", "RGBA"), PICTURE),
    "png of a palette": (file_of(GREY[..., 0], "PNG", "P"), GREY),
    "png of a palette with a transparent colour": (file_of(GREY[..., 0], "PNG", "P", transparency=7), GREY),
    "grey png": (file_of(GREY, "PNG", "L"), GREY),
    "grey png with alpha": (file_of(GREY, "PNG", "LA"), GREY),
    "16-bit png": (opencv_file(SIXTEEN_BITS, ".png"), (SIXTEEN_BITS >> 8).astype(np.uint8)),
    "16-bit grey png": (
        opencv_file(SIXTEEN_BITS[..., 0], ".png"),
        np.repeat((SIXTEEN_BITS[..., :1] >> 8).astype(np.uint8), 3, axis=2),
    ),
    "animated png": (with_second_picture("PNG"), PICTURE),
    "turned png": (turned_by_exif("PNG"), PICTURE),
    "webp": (file_of(PICTURE, "WEBP", lossless=True), PICTURE),
    "webp with alpha": (
        file_of(np.dstack([PICTURE, ALPHA]), "WEBP", "RGBA", lossless=True, exact=True),
        PICTURE,
    ),
    "animated webp": (with_second_picture("WEBP", lossless=True), PICTURE),
}
CLOSE = {
    "jpeg": (jpeg(WIDTH, HEIGHT), PICTURE),
    "progressive jpeg": (file_of(PICTURE, "JPEG", progressive=True, quality=95), PICTURE),
    "grey jpeg": (file_of(GREY, "JPEG", "L", quality=95), GREY),
    "rgb jpeg": (file_of(PICTURE, "JPEG", keep_rgb=True, quality=95), PICTURE),
    "cmyk jpeg": (file_of(PICTURE, "JPEG", "CMYK", quality=95), PICTURE),
    "ycck jpeg": (ycck_jpeg(), PICTURE),
    "jpeg with restarts": (restarting(), PICTURE),
    "jpeg with padding between segments": (padded_segments(), PICTURE),
    "jpeg with padding at a restart": (padded_restarts(), PICTURE),
    "turned jpeg": (turned_by_exif("JPEG"), PICTURE),
    "multi-picture jpeg": (with_second_picture("MPO"), PICTURE),
    "lossy webp": (file_of(PICTURE, "WEBP", quality=95), PICTURE),
    "lossy webp with alpha": (
        file_of(np.dstack([PICTURE, ALPHA]), "WEBP", "RGBA", quality=95, exact=True),
        PICTURE,
    ),
    "turned webp": (turned_by_exif("WEBP"), PICTURE),
}
FILES = {name: data for name, (data, _) in {**EXACT, **CLOSE}.items()} | {"4:4:1 jpeg": resampled_jpeg()}


def named(files: dict[str, tuple[bytes, Image]]) -> list[object]:
    return [pytest.param(data, image, id=name) for name, (data, image) in files.items()]


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("data", [pytest.param(FILES[name], id=name) for name in names or FILES])


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


@pytest.mark.parametrize(("data", "wanted"), named(EXACT))
def test_a_lossless_file_decodes_to_its_exact_picture(data: bytes, wanted: Image) -> None:
    np.testing.assert_array_equal(images.decode(data, MAX_PIXELS), wanted)


@pytest.mark.parametrize(("data", "wanted"), named(CLOSE))
def test_a_lossy_file_decodes_to_nearly_its_picture(data: bytes, wanted: Image) -> None:
    difference = np.abs(images.decode(data, MAX_PIXELS).astype(int) - wanted)

    assert difference.mean() < 5
    assert difference.max() < 32


@each()
def test_every_file_becomes_contiguous_uint8_rgb_of_the_size_in_its_header(data: bytes) -> None:
    image = images.decode(data, MAX_PIXELS)

    width, height = images.size(data)
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@each(*(name for name in FILES if "jpeg" in name and "padding" not in name))
def test_a_jpeg_has_the_same_pixels_as_in_opencv(data: bytes) -> None:
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)

    np.testing.assert_array_equal(images.decode(data, MAX_PIXELS), wanted)


def test_padding_changes_no_pixel() -> None:
    np.testing.assert_array_equal(
        images.decode(padded_segments(), MAX_PIXELS), images.decode(jpeg(WIDTH, HEIGHT), MAX_PIXELS)
    )
    np.testing.assert_array_equal(
        images.decode(padded_restarts(), MAX_PIXELS), images.decode(restarting(), MAX_PIXELS)
    )


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp"), ("lossy webp", "image/webp")],
)
def test_the_first_bytes_tell_the_media_type(name: str, media_type: str) -> None:
    assert images.content_type(FILES[name]) == media_type


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


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 48), (641, 479)])
def test_an_encoded_picture_decodes_to_nearly_itself(width: int, height: int) -> None:
    image = picture(width, height)

    decoded = images.decode(images.encode_jpeg(image), MAX_PIXELS)

    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).mean() < 6


def test_any_view_of_a_picture_can_be_encoded() -> None:
    mirrored = PICTURE[:, ::-1]

    decoded = images.decode(images.encode_jpeg(mirrored, quality=95), MAX_PIXELS)

    assert np.abs(decoded.astype(int) - mirrored).mean() < 5


def test_quality_costs_bytes() -> None:
    image = picture(320, 240)

    sizes = [len(images.encode_jpeg(image, quality)) for quality in (10, 50, 90)]

    assert sizes == sorted(set(sizes))


def found(*boxes: tuple[float, float, float, float], width: int, height: int) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.linspace(1, 0.5, len(boxes), dtype=np.float32),
        class_ids=np.arange(1, len(boxes) + 1, dtype=np.int32),
        width=width,
        height=height,
    )


def test_boxes_are_drawn_on_a_copy_and_only_around_the_objects() -> None:
    image = picture(320, 240)
    before = image.copy()
    image.flags.writeable = False

    drawn = images.draw(image, found((100, 100, 200, 180), width=320, height=240), {1: "person"})

    np.testing.assert_array_equal(image, before)
    assert drawn.shape == image.shape
    changed = np.any(drawn != image, axis=2)
    assert changed[100, 100:201].all()
    assert changed[180, 100:201].all()
    assert changed[100:181, 100].all()
    assert changed[100:181, 200].all()
    assert not changed[110:170, 110:190].any()
    assert not changed[:, :90].any()
    assert not changed[190:].any()


def test_a_label_is_drawn_with_the_box() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    detections = found((100, 100, 200, 180), width=320, height=240)

    drawn = images.draw(image, detections, {1: "person"})
    unlabelled = images.draw(image, detections, {})

    above = slice(80, 98)
    assert drawn[above].any()
    assert (drawn[above] != unlabelled[above]).any()


def test_a_box_as_large_as_the_picture_is_seen_on_all_four_edges() -> None:
    image = np.zeros((HEIGHT * 4, WIDTH * 4, 3), np.uint8)

    drawn = images.draw(image, found((0, 0, WIDTH * 4, HEIGHT * 4), width=WIDTH * 4, height=HEIGHT * 4), {})

    seen = np.any(drawn, axis=2)
    assert seen[0].all()
    assert seen[-1].all()
    assert seen[:, 0].all()
    assert seen[:, -1].all()


def test_nothing_found_changes_nothing() -> None:
    np.testing.assert_array_equal(images.draw(PICTURE, found(width=WIDTH, height=HEIGHT), {}), PICTURE)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 50), (50, 1), (40, 24)])
def test_boxes_at_every_edge_of_the_smallest_pictures_can_be_drawn(width: int, height: int) -> None:
    image = picture(width, height)
    boxes = found(
        (0, 0, width, height),
        (width, height, width, height),
        (0, 0, 0, 0),
        (0, height, width, height),
        (width, 0, width, height),
        width=width,
        height=height,
    )

    drawn = images.draw(image, boxes, {1: "a very long name that has no room in the picture", 2: "größer"})

    assert drawn.shape == image.shape
    assert (drawn != image).any()

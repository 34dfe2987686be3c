import struct
import zlib

import cv2
import numpy as np
import pytest

from framebus import images
from framebus.detections import Detections
from framebus.frames import Image
from tests.picture_files import (
    CLOSE,
    EXACT,
    FILES,
    HEIGHT,
    MAX_PIXELS,
    PICTURE,
    WIDTH,
    each,
    padded_restarts,
    padded_segments,
    restarting,
)
from tests.pictures import jpeg, picture


def named(files: dict[str, tuple[bytes, Image]]) -> list[object]:
    return [pytest.param(data, image, id=name) for name, (data, image) in files.items()]


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
    ("kind", "content"),
    [
        (b"acTL", struct.pack(">II", 5, 0)),  # an animation without frames
        (b"acTL", b""),
        (b"iCCP", b"no colour profile"),
        (b"tRNS", bytes(999)),
        (b"gAMA", b""),
        (b"tEXt", b"Comment\0hello"),
    ],
)
def test_what_a_png_holds_beside_its_picture_is_no_matter(
    kind: bytes, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    data = FILES["png"]
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    np.testing.assert_array_equal(images.decode(data[:33] + chunk + data[33:], MAX_PIXELS), PICTURE)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp"), ("lossy webp", "image/webp")],
)
def test_the_first_bytes_tell_the_media_type(name: str, media_type: str) -> None:
    assert images.content_type(FILES[name]) == media_type


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

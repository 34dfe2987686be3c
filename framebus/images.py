"""Pictures: their size from the header, decoding, encoding, and boxes drawn on them.

Every picture becomes uint8 RGB: EXIF orientation is ignored, alpha dropped, grey and 16 bit made 8-bit RGB.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import simplejpeg

from framebus.detections import Detections, label_of
from framebus.errors import FrameTooLargeError, UndecodableFrameError
from framebus.frames import Image

JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"

# Markers that begin a segment with a length: all but padding (00, FF), TEM (01) and RST (D0 to D7).
_JPEG_SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_JPEG_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
_JPEG_END = 0xD9
# Encoders write about ten. Each can cost as much as the whole picture, and take no more than a dozen bytes.
_MAX_JPEG_SCANS = 100

_BOX_COLOURS = (
    (230, 57, 70),
    (42, 157, 143),
    (233, 196, 106),
    (38, 132, 255),
    (155, 93, 229),
    (244, 132, 95),
)

# One picture is one task here; threads of its own would fight the engine for cores.
cv2.setNumThreads(1)
# What OpenCV writes to standard error is no line of our log; what matters of it is raised here.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def content_type(data: bytes) -> str:
    """Tells the media type from the first bytes.

    Raises:
        UndecodableFrameError: Neither JPEG, PNG nor WebP.
    """
    if data.startswith(JPEG_MAGIC):
        return "image/jpeg"
    if data.startswith(PNG_MAGIC):
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    what = f"starts with {data[:8].hex(' ')}" if data else "is empty"
    raise UndecodableFrameError(f"not a JPEG, PNG or WebP image: the value {what}")


def size(data: bytes) -> tuple[int, int]:
    """Reads width and height in pixels from the header alone, without decoding.

    Raises:
        UndecodableFrameError: No image, or its header is damaged.
    """
    kind = content_type(data)
    read_size = {"image/jpeg": _jpeg_size, "image/png": _png_size, "image/webp": _webp_size}[kind]
    try:
        width, height = read_size(data)
    except struct.error as error:
        raise UndecodableFrameError(f"the {kind} header is cut off") from error
    if not width or not height:
        raise UndecodableFrameError(f"the {kind} header is damaged: {width}x{height} pixels")
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    for marker, start, _ in _jpeg_header(data):
        if marker in _JPEG_FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, start + 5)
            return width, height
    raise UndecodableFrameError("the image/jpeg header is damaged: it does not say how large the picture is")


def _jpeg_header(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Walks the segments up to the first scan."""
    for segment in _jpeg_segments(data):
        yield segment
        if segment[0] == _JPEG_SCAN:
            return


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Walks the segments of the picture: marker, first byte, byte after the last (ITU-T T.81, B.1).

    Padding between segments is passed over, as libjpeg does, and so are the scans' coded pictures.
    """
    end = 2
    while (segment := _JPEG_SEGMENT.search(data, end)) and segment[1][0] != _JPEG_END:
        marker, start = segment[1][0], segment.start()
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        yield marker, start, end


def _png_size(data: bytes) -> tuple[int, int]:
    chunk, width, height = struct.unpack_from(">4sII", data, 12)  # the PNG specification, 11.2.1
    return (width, height) if chunk == b"IHDR" else (0, 0)


def _webp_size(data: bytes) -> tuple[int, int]:
    # Container: https://developers.google.com/speed/webp/docs/riff_container; VP8: RFC 6386, 9.1
    (chunk,) = struct.unpack_from("4s", data, 12)
    if chunk == b"VP8X":
        width, width_high, height, height_high = struct.unpack_from("<HBHB", data, 24)
        return (width_high << 16) + width + 1, (height_high << 16) + height + 1
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return (width & 0x3FFF, height & 0x3FFF) if chunk == b"VP8 " else (0, 0)


def checked_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Reads width and height from the header, and refuses a picture that is too large to decode.

    Raises:
        FrameTooLargeError: More than `max_pixels`.
        UndecodableFrameError: No image, or its header is damaged.
    """
    width, height = size(data)
    if width * height > max_pixels:
        raise FrameTooLargeError(
            f"the picture has {width}x{height} pixels, the limit is {max_pixels}; send it smaller or raise "
            "FRAMEBUS_CONSUMER__MAX_FRAME_PIXELS"
        )
    return width, height


def decode(data: bytes, max_pixels: int) -> Image:
    """Decodes a whole JPEG, PNG or WebP file.

    Args:
        data: The file's bytes.
        max_pixels: Larger pictures are refused by their header, before any memory is taken for them.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        FrameTooLargeError: More than `max_pixels`.
        UndecodableFrameError: No image, or one that is cut off or damaged, or a JPEG of endless scans.
    """
    checked_size(data, max_pixels)
    return decode_checked(data)


def decode_checked(data: bytes) -> Image:
    """The same, for a picture whose size was checked before.

    Raises:
        UndecodableFrameError: As `decode` does.
    """
    if data.startswith(JPEG_MAGIC):
        return _decode_jpeg(data)
    if data.startswith(PNG_MAGIC):
        return _decode_with_opencv(_critical_chunks(data))
    return _decode_with_opencv(data)


def _decode_jpeg(data: bytes) -> Image:
    _check_scans(data)
    try:
        image: Image = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError as error:
        if "extraneous bytes" not in str(error):
            raise UndecodableFrameError(f"the JPEG is damaged: {error}") from error
        image = _decode_padded_jpeg(data)
    return image


def _check_scans(data: bytes) -> None:
    # The bytes of a scan's marker may stand in a thumbnail or behind the picture, where they cost nothing.
    if data.count(bytes([0xFF, _JPEG_SCAN])) <= _MAX_JPEG_SCANS:
        return
    scans = sum(marker == _JPEG_SCAN for marker, _, _ in _jpeg_segments(data))
    if scans > _MAX_JPEG_SCANS:
        raise UndecodableFrameError(
            f"the JPEG has {scans} scans, {_MAX_JPEG_SCANS} is the most; write it as a baseline JPEG"
        )


def _decode_padded_jpeg(data: bytes) -> Image:
    """Decodes a JPEG with padding around its markers; many cameras write such files, and it is harmless.

    libjpeg tells of the padding and then of nothing else, so the end of the picture is looked for here.
    """
    segments = list(_jpeg_header(data))
    scan = segments[-1][1]
    if data.find(b"\xff\xd9", scan) < 0:
        raise UndecodableFrameError("the JPEG is cut off")
    unpadded = data[:2] + b"".join(data[start:end] for _, start, end in segments[:-1]) + data[scan:]
    try:
        image: Image = simplejpeg.decode_jpeg(unpadded, "RGB", strict=False)
    except ValueError as error:
        raise UndecodableFrameError(f"the JPEG is damaged: {error}") from error
    return image


def _critical_chunks(data: bytes) -> bytes:
    """Returns a PNG with nothing but the chunks that make the picture, its checksums checked.

    OpenCV would sometimes decode half a picture, and crash on some of the other chunks (animation).
    """
    view = memoryview(data)
    kept = [view[: len(PNG_MAGIC)]]
    start, chunk = len(PNG_MAGIC), b""
    try:
        while chunk != b"IEND":
            length, chunk = struct.unpack_from(">I4s", data, start)
            end = start + length + 12
            (checksum,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(view[start + 4 : end - 4]) != checksum:
                raise UndecodableFrameError(f"the PNG is damaged: wrong checksum at byte {end - 4}")
            if chunk[:1].isupper():  # critical, by the PNG specification, 5.4
                kept.append(view[start:end])
            start = end
    except struct.error as error:
        raise UndecodableFrameError("the PNG is cut off") from error
    return b"".join(kept)


def _decode_with_opencv(data: bytes) -> Image:
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise UndecodableFrameError(f"the image is damaged: {error.err}") from error
    if image is None:
        raise UndecodableFrameError("the image is damaged or cut off")
    return image.astype(np.uint8, copy=False)


def encode_jpeg(image: Image, quality: int = 90) -> bytes:
    """Encodes uint8 (height, width, 3) RGB as a JPEG file, 4:2:0."""
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    return data


def draw(image: Image, detections: Detections, labels: Mapping[int, str]) -> Image:
    """Returns a copy of the picture with a labelled box around each detection."""
    drawn = image.copy()
    last_row, last_column = image.shape[0] - 1, image.shape[1] - 1
    scale = max(min(image.shape[:2]) / 600, 0.8)
    thickness = max(1, round(2 * scale))
    for box, score, class_id in zip(detections.boxes, detections.scores, detections.class_ids, strict=True):
        colour = _BOX_COLOURS[int(class_id) % len(_BOX_COLOURS)]
        left, top, right, bottom = (round(float(edge)) for edge in box)
        corner = (min(right, last_column), min(bottom, last_row))
        cv2.rectangle(drawn, (left, top), corner, colour, thickness)
        text = f"{label_of(int(class_id), labels)} {score:.0%}"
        (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, thickness)
        text_top = max(top - height - baseline, 0)
        cv2.rectangle(
            drawn, (left, text_top), (left + width, text_top + height + baseline), colour, cv2.FILLED
        )
        cv2.putText(
            drawn,
            text,
            (left, text_top + height),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5 * scale,
            (0, 0, 0),
            thickness,
        )
    return drawn

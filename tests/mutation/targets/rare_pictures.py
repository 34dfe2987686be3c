"""Kinds of picture files that hardly any camera writes, and that no library here can write."""

import struct
import zlib

from framebus.frames import Image
from tests.mutation.parts import Part, join
from tests.picture_files import file_of
from tests.pictures import picture

_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column of each of Adam7's passes, and its steps (the PNG specification, 8.2)."""


def interlaced_png(image: Image) -> bytes:
    """A PNG that shows the whole picture early: seven passes over it, each finer than the one before."""
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, right in _PASSES
        for row in image[top::down, left::right]
        if row.size
    )
    height, width = image.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return join("png", [Part(b"IHDR", header), Part(b"IDAT", zlib.compress(rows)), Part(b"IEND", b"")])


def png_in_many_chunks(image: Image) -> bytes:
    """A PNG whose coded picture comes a byte at a time."""
    height, width = image.shape[:2]
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in image))
    bytes_apart = [Part(b"IDAT", bytes([byte])) for byte in rows]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return join("png", [Part(b"IHDR", header), *bytes_apart, Part(b"IEND", b"")])


def _coded_otherwise(data: bytes, old: int, new: int) -> bytes:
    """The same JPEG under another frame header, so that its bits are taken for what they are not."""
    return data.replace(bytes([0xFF, old]), bytes([0xFF, new]), 1)


def _of_twelve_bits(data: bytes) -> bytes:
    precision = data.index(b"\xff\xc1") + 4
    return data[:precision] + b"\x0c" + data[precision + 1 :]


_IMAGE = picture(16, 12)
_JPEG = file_of(_IMAGE, "JPEG")
_PROGRESSIVE = file_of(_IMAGE, "JPEG", progressive=True)

RARE = {
    "interlaced png": interlaced_png(_IMAGE),
    "png in many chunks": png_in_many_chunks(_IMAGE),
    "arithmetic jpeg": _coded_otherwise(_JPEG, 0xC0, 0xC9),
    "progressive arithmetic jpeg": _coded_otherwise(_PROGRESSIVE, 0xC2, 0xCA),
    "extended jpeg": _coded_otherwise(_JPEG, 0xC0, 0xC1),
    "lossless jpeg": _coded_otherwise(_JPEG, 0xC0, 0xC3),
    "12-bit jpeg": _of_twelve_bits(_coded_otherwise(_JPEG, 0xC0, 0xC1)),
}

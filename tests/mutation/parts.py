"""A picture's file as the parts that it is made of, which can be changed and put together again.

Lengths and checksums are set right then, so that a reader gets to see what is wrong within.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from framebus.images import JPEG_MAGIC, PNG_MAGIC

_JPEG_END = b"\xff\xd9"
_JPEG_START = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of a JPEG (ITU-T T.81, B.1), or a chunk of a PNG or WebP.

    Attributes:
        name: The marker, or the four letters.
        content: What its length counts.
        behind: Of a JPEG's scan the coded picture, which no length counts.
    """

    name: bytes
    content: bytes
    behind: bytes = b""


def kind_of(data: bytes) -> str:
    """`jpeg`, `png` or `webp`."""
    return "jpeg" if data.startswith(JPEG_MAGIC) else "png" if data.startswith(PNG_MAGIC) else "webp"


def split(data: bytes) -> list[Part]:
    """Takes a sound file apart."""
    return {"jpeg": _split_jpeg, "png": _split_png, "webp": _split_webp}[kind_of(data)](data)


def join(kind: str, parts: Sequence[Part]) -> bytes:
    """Makes a file of parts, whether or not they belong together."""
    return {"jpeg": _join_jpeg, "png": _join_png, "webp": _join_webp}[kind](parts)


def _split_jpeg(data: bytes) -> list[Part]:
    parts, start = [], len(_JPEG_START)
    while start < len(data) and data[start : start + 2] != _JPEG_END:
        name = data[start : start + 2]
        content_end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        end = content_end
        while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
            end += 1
        parts.append(Part(name, data[start + 4 : content_end], data[content_end:end]))
        start = end
    return parts


def _join_jpeg(parts: Sequence[Part]) -> bytes:
    segments = [
        part.name + struct.pack(">H", min(len(part.content) + 2, 0xFFFF)) + part.content + part.behind
        for part in parts
    ]
    return b"".join([_JPEG_START, *segments, _JPEG_END])


def _split_png(data: bytes) -> list[Part]:
    parts, start = [], len(PNG_MAGIC)
    while start < len(data):
        (length,) = struct.unpack_from(">I", data, start)
        parts.append(Part(data[start + 4 : start + 8], data[start + 8 : start + 8 + length]))
        start += length + 12
    return parts


def _join_png(parts: Sequence[Part]) -> bytes:
    chunks = [
        struct.pack(">I", len(part.content))
        + part.name
        + part.content
        + struct.pack(">I", zlib.crc32(part.name + part.content))
        for part in parts
    ]
    return b"".join([PNG_MAGIC, *chunks])


def _split_webp(data: bytes) -> list[Part]:
    parts, start = [], 12
    while start < len(data):
        name, length = struct.unpack_from("<4sI", data, start)
        parts.append(Part(name, data[start + 8 : start + 8 + length]))
        start += 8 + length + length % 2
    return parts


def _join_webp(parts: Sequence[Part]) -> bytes:
    chunks = b"WEBP" + b"".join(
        part.name + struct.pack("<I", len(part.content)) + part.content + bytes(len(part.content) % 2)
        for part in parts
    )
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks

"""Pictures made to take all the time or memory there is: small files that promise, or are, far too much."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image as PillowImage

from framebus.frames import Image
from tests.mutation.parts import Part, join, split
from tests.picture_files import FILES, file_of
from tests.pictures import picture

_BOMB_BYTES = 16 * 2**20
_END = Part(b"IEND", b"")


def png_header(width: int, height: int, *, bits: int = 8, colour: int = 2) -> Part:
    return Part(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def png_with_endless_rows() -> bytes:
    """16x12 pixels, and behind them zeros without end."""
    rows = zlib.compress(bytes(_BOMB_BYTES))
    return join("png", [png_header(16, 12), Part(b"IDAT", rows), _END])


def png_with_endless_text() -> bytes:
    parts = split(FILES["png"])
    text = Part(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(_BOMB_BYTES)))
    profile = Part(b"iCCP", b"profile\0\0" + zlib.compress(bytes(_BOMB_BYTES)))
    return join("png", [parts[0], text, profile, *parts[1:]])


def png_of_tiny_chunks() -> bytes:
    parts = split(FILES["png"])
    return join("png", [parts[0], *[Part(b"tEXt", b"")] * 5_000, *[Part(b"IDAT", b"")] * 5_000, *parts[1:]])


def jpeg_of_many_scans() -> bytes:
    """Each scan costs a walk over the whole picture, and a dozen bytes."""
    parts = split(file_of(picture(140, 140), "JPEG", progressive=True))
    return join("jpeg", [*parts, *[parts[-1]] * 1_000])


def padded_jpeg_of_many_scans() -> bytes:
    parts = split(file_of(picture(140, 140), "JPEG", progressive=True))
    return join("jpeg", [replace(parts[0], behind=b"\0\7"), *parts[1:], *[parts[-1]] * 1_000])


def jpeg_of_tiny_segments() -> bytes:
    parts = split(FILES["jpeg"])
    return join("jpeg", [*[Part(b"\xff\xe5", b"")] * 20_000, *parts])


def jpeg_of_padding() -> bytes:
    parts = split(FILES["jpeg"])
    return join("jpeg", [replace(parts[0], behind=b"\xff\0" * 200_000), *parts[1:]])


def webp_larger_than_its_canvas() -> bytes:
    inside = split(_webp(np.zeros((2_000, 2_000, 3), np.uint8)))
    canvas = Part(b"VP8X", bytes(4) + (15).to_bytes(3, "little") + (11).to_bytes(3, "little"))
    return join("webp", [canvas, *inside])


def webp_of_many_frames() -> bytes:
    """An animation: the same small frame thousands of times."""
    parts = split(FILES["animated webp"])
    frames = [part for part in parts if part.name == b"ANMF"]
    return join("webp", [*(part for part in parts if part.name != b"ANMF"), *frames * 500])


def _webp(image: Image) -> bytes:
    written = io.BytesIO()
    PillowImage.fromarray(image).save(written, "WEBP", lossless=True, method=0, quality=0)
    return written.getvalue()


HARMFUL: tuple[Callable[[], bytes], ...] = (
    png_with_endless_rows,
    png_with_endless_text,
    png_of_tiny_chunks,
    jpeg_of_many_scans,
    padded_jpeg_of_many_scans,
    jpeg_of_tiny_segments,
    jpeg_of_padding,
    webp_larger_than_its_canvas,
    webp_of_many_frames,
)

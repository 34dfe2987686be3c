"""The pictures that cameras publish: `images.checked_size` and `images.decode`."""

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from framebus import images
from framebus.errors import FrameTooLargeError, UndecodableFrameError
from tests.mutation.changes import change
from tests.mutation.parts import Part, join, kind_of, split
from tests.mutation.targets import Input
from tests.mutation.targets.harmful_pictures import HARMFUL
from tests.mutation.targets.rare_pictures import RARE
from tests.picture_files import FILES
from tests.picture_kinds import KINDS
from tests.pictures import picture

REFUSALS = (UndecodableFrameError, FrameTooLargeError)
MOST_BYTES = 2**28

MAX_PIXELS = 20_000
_SOUND = [*FILES.values(), *(write(picture(16, 12)) for write in KINDS.values()), *RARE.values()]
_SPLIT = {kind: [split(data) for data in _SOUND if kind_of(data) == kind] for kind in ("jpeg", "png", "webp")}
_NAMES = {
    "jpeg": [bytes([0xFF, marker]) for marker in range(0x01, 0xFF)],
    "png": [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"XXXX"],
    "webp": [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP", b"XXXX"],
}
_SIDES = (
    *(0, 1, 2, 7, 8, 9, 16, 17, 39, 41, 100, 141, 1_000),
    *(2**14 - 1, 2**16 - 1, 2**24, 2**31 - 1, 2**32 - 1),
)
_ONE_IN_HARMFUL = 400
"""They take a thousand times as long as the others."""


def make(random: Random) -> Input:
    if not random.randrange(_ONE_IN_HARMFUL):
        data = random.choice(HARMFUL)()
        return Input("made to harm", change(data, random)[1] if random.randrange(2) else data)
    data = random.choice(_SOUND)
    kind = kind_of(data)
    match random.randrange(9):
        case 0:
            start, end = data[: random.randrange(len(data))], random.choice(_SOUND)
            return Input(f"{kind}: another file behind it", start + end[random.randrange(len(end)) :])
        case 1 | 2 | 3:
            how, changed = change(data, random)
            return Input(f"{kind}: {how}", changed)
        case _:
            how = random.choice(tuple(_PART_CHANGES))
            parts = list(random.choice(_SPLIT[kind]))
            _PART_CHANGES[how](kind, parts, random)
            return Input(f"{kind}: {how}", join(kind, parts))


def read(content: bytes, folder: Path) -> object:
    width, height = images.checked_size(content, MAX_PIXELS)
    assert 0 < width * height <= MAX_PIXELS
    image = images.decode(content, MAX_PIXELS)
    assert image.shape == (height, width, 3), image.shape
    assert image.dtype == np.uint8, image.dtype
    assert image.flags.c_contiguous
    return hashlib.sha1(image.tobytes()).hexdigest()


def _another_size(kind: str, parts: list[Part], random: Random) -> None:
    width, height = random.choice(_SIDES), random.choice(_SIDES)
    sizes = {
        b"IHDR": (0, struct.pack(">II", width, height)),
        b"VP8X": (4, (width % 2**24).to_bytes(3, "little") + (height % 2**24).to_bytes(3, "little")),
        b"VP8 ": (6, struct.pack("<HH", width % 2**16, height % 2**16)),
        b"VP8L": (1, struct.pack("<I", height % 2**14 << 14 | width % 2**14)),
        **{
            bytes([0xFF, 0xC0 + n]): (1, struct.pack(">HH", height % 2**16, width % 2**16)) for n in range(16)
        },
    }
    for number, part in enumerate(parts):
        if part.name in sizes and part.name != b"\xff\xc4":
            start, size = sizes[part.name]
            content = part.content[:start] + size + part.content[start + len(size) :]
            parts[number] = replace(part, content=content)


def _content(kind: str, parts: list[Part], random: Random) -> None:
    number = random.randrange(len(parts))
    parts[number] = replace(parts[number], content=change(parts[number].content, random)[1])


def _name(kind: str, parts: list[Part], random: Random) -> None:
    number = random.randrange(len(parts))
    parts[number] = replace(parts[number], name=random.choice(_NAMES[kind]))


def _dropped(kind: str, parts: list[Part], random: Random) -> None:
    del parts[random.randrange(len(parts))]


def _repeated(kind: str, parts: list[Part], random: Random) -> None:
    number = random.randrange(len(parts))
    parts[number:number] = [parts[number]] * random.choice((1, 2, 30))


def _swapped(kind: str, parts: list[Part], random: Random) -> None:
    one, other = random.randrange(len(parts)), random.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]


def _foreign(kind: str, parts: list[Part], random: Random) -> None:
    others: Sequence[Part] = random.choice(_SPLIT[kind])
    parts[random.randrange(len(parts))] = random.choice(others)


_PART_CHANGES: dict[str, Callable[[str, list[Part], Random], None]] = {
    "another size": _another_size,
    "content of a part": _content,
    "name of a part": _name,
    "part dropped": _dropped,
    "part repeated": _repeated,
    "parts swapped": _swapped,
    "part of another file": _foreign,
}

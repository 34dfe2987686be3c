"""Ways to change bytes that know nothing of what they mean."""

from collections.abc import Callable
from random import Random

Change = Callable[[bytes, Random], bytes]

_INTEGERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1)
_MOST_BYTES = 64
"""How much is removed, repeated or added at once."""


def flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    noise = random.randbytes(random.randint(1, min(_MOST_BYTES, len(data) - start)))
    return data[:start] + noise + data[start + len(noise) :]


def write_integer(data: bytes, random: Random) -> bytes:
    """An integer of one to four bytes, at the edge of what fits, where there was another one perhaps."""
    size = random.randint(1, 4)
    start = random.randrange(len(data))
    integer = (random.choice(_INTEGERS) % (1 << 8 * size)).to_bytes(size, "big")
    return data[:start] + integer[:: random.choice((1, -1))] + data[start + size :]


def cut_off(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def remove(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    return data[:start] + data[start + random.randint(1, _MOST_BYTES) :]


def repeat(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    end = start + random.randint(1, _MOST_BYTES)
    return data[:end] + data[start:end] * random.randint(1, 3) + data[end:]


def insert(data: bytes, random: Random) -> bytes:
    start = random.randint(0, len(data))
    return data[:start] + random.randbytes(random.randint(1, _MOST_BYTES)) + data[start:]


def append(data: bytes, random: Random) -> bytes:
    return data + random.randbytes(random.randint(1, _MOST_BYTES))


CHANGES: dict[str, Change] = {
    "bits flipped": flip_bits,
    "overwritten": overwrite,
    "integer written": write_integer,
    "cut off": cut_off,
    "bytes removed": remove,
    "bytes repeated": repeat,
    "bytes inserted": insert,
    "bytes appended": append,
}
"""Each takes at least one byte."""


def change(data: bytes, random: Random) -> tuple[str, bytes]:
    """Changes bytes in any of these ways; nothing cannot be changed, only added to."""
    kind = random.choice(tuple(CHANGES)) if data else "bytes appended"
    return kind, CHANGES[kind](data, random)

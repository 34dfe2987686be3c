"""The dead-letter topic: letters are written of frames of every kind, and read whoever wrote them."""

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from framebus.bus import Partition, Record
from framebus.dead_letters import decode_dead_letter, encode_dead_letter, encode_replay
from framebus.errors import DeadLetterError, UndecodableFrameError
from tests.mutation.targets import Input, records

REFUSALS = (DeadLetterError,)
MOST_BYTES = 2**28

_REASONS = ("", "not a picture", "ü" * 5_000, "\ud83d", "\0\n")
_MAX_BYTES = (16_384, 100_000, 10**7)


@dataclass(frozen=True, slots=True)
class Written:
    """A record whose frame cannot be processed, why, and how large its letter may be."""

    record: Record
    reason: str
    max_bytes: int


def make(random: Random) -> Input:
    if random.randrange(2):
        made = records.make(random)
        return Input(
            f"frame: {made.kind}", Written(made.content, random.choice(_REASONS), random.choice(_MAX_BYTES))
        )
    letter = _letter(Written(records.sound(random), random.choice(_REASONS), random.choice(_MAX_BYTES)))
    kind, changed = records.change_record(letter, random)
    return Input(f"letter: {kind}", changed)


def read(content: Written | Record, folder: Path) -> object:
    """A letter of ours is read back as it was written; of another's only what is a letter at all."""
    if isinstance(content, Record):
        letter = decode_dead_letter(content)
        return letter, None if letter.left_out else encode_replay(letter)
    letter = decode_dead_letter(_letter(content))
    assert letter.source.offset == content.record.offset
    assert letter.message.startswith(content.reason[:1_000].encode(errors="replace").decode())
    if letter.left_out:
        return letter
    assert (letter.key, letter.value) == (content.record.key, content.record.value)
    return letter, encode_replay(letter)


def _letter(written: Written) -> Record:
    """The letter as it is read from its topic."""
    record = encode_dead_letter(
        written.record,
        UndecodableFrameError(written.reason),
        topic="frames.dead",
        model_name="ssd",
        max_bytes=written.max_bytes,
    )
    taken = len(record.key or b"") + len(record.value or b"")
    taken += sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    assert taken <= written.max_bytes
    return replace(
        written.record,
        partition=Partition(record.topic, 0),
        key=record.key,
        value=record.value or b"",
        headers=record.headers,
    )

"""What has become of the records of a replay."""

import time
from dataclasses import dataclass, field
from typing import Any

import typer

from framebus.bus import Partition, Record


@dataclass(slots=True)
class Tally:
    """Counts records, each once.

    Attributes:
        what: What they are, in one word: frames or detections.
        replayed: Acknowledged by the broker, or written.
        replayed_bytes: Of their values.
        refused: Those that could not be, each of which was told.
        left_out: Read, and not meant.
        next: Where each partition goes on that was not read to its end, after a stop; empty after a failure.
    """

    what: str
    replayed: int = 0
    replayed_bytes: int = 0
    refused: int = 0
    left_out: int = 0
    next: dict[Partition, int] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)

    def add(self, value_bytes: int) -> None:
        """Counts one that was acknowledged or written."""
        self.replayed += 1
        self.replayed_bytes += value_bytes

    def refuse(self, where: str, why: object) -> None:
        """Tells of one that could not be, and counts it."""
        typer.echo(f"{where} is not replayed: {why}", err=True)
        self.refused += 1

    def as_json(self, *, stopped: bool) -> dict[str, Any]:
        """For scripts; docs/replay.md describes it."""
        return {
            "replayed": self.replayed,
            "bytes": self.replayed_bytes,
            "refused": self.refused,
            "left_out": self.left_out,
            "seconds": round(time.monotonic() - self._began_s, 3),
            "stopped": stopped,
            "next": [
                {"topic": one.topic, "partition": one.number, "offset": offset}
                for one, offset in sorted(self.next.items())
            ],
        }

    def in_words(self, where: str, *, stopped: bool) -> str:
        """The same for people."""
        took_s = time.monotonic() - self._began_s
        line = (
            f"{self.replayed:,} {self.what} replayed to {where} in {took_s:.1f} s, "
            f"{self.replayed_bytes / 2**20:,.1f} MiB"
        )
        if self.refused:
            line += f"; {self.refused:,} not, as was said"
        if self.left_out:
            line += f"; {self.left_out:,} of other cameras or times were left out"
        if not stopped:
            return line
        if len({one.topic for one in self.next}) != 1:
            return f"{line}; ended before all was read"
        rest = " ".join(f"--offset {one.number}/{offset}" for one, offset in sorted(self.next.items()))
        return f"{line}; ended before all was read, go on with {rest}"


def place_of(record: Record) -> str:
    """Where a record stands, as messages tell it."""
    return f"{record.partition.topic}/{record.partition.number}/{record.offset}"

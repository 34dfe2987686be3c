"""Reads what is replayed: as fast as it comes, or at the pace at which it was recorded."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

import typer

from framebus.bus import Partition, Record
from framebus.cli.moments import as_milliseconds
from framebus.cli.replay.selection import Selection
from framebus.cli.span import Span
from framebus.errors import FrameError
from framebus.wire import capture_time

# A producer that was cut off publishes what it held when it is back, so what was published before a time may
# stand behind what was published after it. It is looked for until so many in a row are so much later.
_LATENESS_MS = 10 * 60_000
_LATE_RECORDS = 100
# Read ahead of the pace, in all and of each partition.
_WAITING_BYTES = 64 * 2**20
_WAITING_RECORDS = 64
_FAST_RECORDS, _PACED_RECORDS = 100, 8
# Whoever waits longer is told why.
_LONG_WAIT_S = 20.0

Clock = Callable[[Record], int]
"""The time of a record in milliseconds since 1970."""


def record_time(record: Record) -> int:
    """When it was published."""
    return record.timestamp_ms


def captured_time(record: Record) -> int:
    """When its picture was taken; when it was published, if that is not said, or wrong."""
    with suppress(FrameError):
        return as_milliseconds(capture_time(record))
    return record.timestamp_ms


class Reading:
    """Reads what is selected, as fast as it comes.

    Args:
        span: Reads it.
        selection: What is meant.
        begin: The first offset of each partition.
        end: The offset after the last one of each partition.

    Attributes:
        begin: The first offset of each partition.
        total: Offsets to pass.
        passed: Offsets passed.
        left_out: Records read that are not meant.
    """

    def __init__(
        self,
        span: Span,
        selection: Selection,
        begin: Mapping[Partition, int],
        end: Mapping[Partition, int],
    ) -> None:
        self._span = span
        self._selection = selection
        self.begin, self._end = begin, end
        self._position = {one: begin[one] for one in self._span.unfinished}
        self._later = dict.fromkeys(self._span.unfinished, 0)
        self.total = sum(end[one] - begin[one] for one in self._position)
        self.left_out = 0

    @property
    def passed(self) -> int:
        """How many offsets were passed."""
        return sum(position - self.begin[one] for one, position in self._position.items())

    @property
    def pending(self) -> set[Partition]:
        """The partitions of which more may come."""
        return set(self._span.unfinished)

    def poll(self, timeout_s: float) -> list[Record]:
        """Returns what is there, waiting at most `timeout_s` for the first.

        Raises:
            TransportError: The bus failed.
        """
        return [record for record in self._read(timeout_s) if self._is_wanted(record)]

    def close(self) -> None:
        """Frees the client."""
        self._span.close()

    def _is_wanted(self, record: Record) -> bool:
        is_wanted = self._selection.includes(record)
        self.left_out += not is_wanted
        return is_wanted

    def _read(self, timeout_s: float, max_records: int = _FAST_RECORDS) -> list[Record]:
        records = self._span.poll(timeout_s, max_records)
        for record in records:
            self._position[record.partition] = record.offset + 1
            self._leave_what_is_later(record)
        for partition in self._position.keys() - self._span.unfinished:
            self._position[partition] = self._end[partition]
        return records

    def _leave_what_is_later(self, record: Record) -> None:
        until_ms, partition = self._selection.until_ms, record.partition
        if until_ms is None:
            return
        is_later = record.timestamp_ms >= until_ms + _LATENESS_MS
        self._later[partition] = self._later[partition] + 1 if is_later else 0
        if self._later[partition] >= _LATE_RECORDS and partition in self._span.unfinished:
            self._span.leave(partition)


class PacedReading(Reading):
    """Reads what is selected as it was recorded: in the order of time over all partitions, when it is due.

    A record that is earlier than one before it in its partition comes right after that one.

    Args:
        span: Reads it.
        selection: What is meant.
        begin: The first offset of each partition.
        end: The offset after the last one of each partition.
        speed: How many times as fast as it was recorded.
        clock: What time is.
    """

    def __init__(
        self,
        span: Span,
        selection: Selection,
        begin: Mapping[Partition, int],
        end: Mapping[Partition, int],
        *,
        speed: float,
        clock: Clock,
    ) -> None:
        super().__init__(span, selection, begin, end)
        self._speed, self._clock = speed, clock
        # The time of each record, and None for one that is not meant: it tells how far its partition is.
        self._waiting: dict[Partition, deque[tuple[int, Record | None]]] = {
            one: deque() for one in self._span.unfinished
        }
        self._waiting_bytes = dict.fromkeys(self._waiting, 0)
        self._max_bytes = _WAITING_BYTES // max(len(self._waiting), 1)
        self._began: tuple[int, float] | None = None
        self._announced: int | None = None

    @property
    def passed(self) -> int:
        """How many offsets were passed; what is read ahead was not."""
        return super().passed - sum(map(len, self._waiting.values()))

    @property
    def pending(self) -> set[Partition]:
        """The partitions of which more may come."""
        return super().pending | {one for one, waiting in self._waiting.items() if waiting}

    def poll(self, timeout_s: float) -> list[Record]:
        """Returns the next record if it is due within `timeout_s`.

        Raises:
            TransportError: The bus failed.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = deadline_s - time.monotonic()
            if all(self._waiting[one] for one in self._span.unfinished):
                if (partition := self._earliest()) is None:
                    return []
                time_ms, record = self._waiting[partition][0]
                due_s = 0.0 if record is None else self._due_s(time_ms) - time.monotonic()
                if due_s <= 0:
                    self._take(partition)
                    if record is None:
                        continue
                    return [record]
                self._announce(due_s, time_ms)
                left_s = min(left_s, due_s)
            if left_s <= 0:
                return []
            self._fetch(left_s)

    def _earliest(self) -> Partition | None:
        heads = [(waiting[0][0], one) for one, waiting in self._waiting.items() if waiting]
        return min(heads)[1] if heads else None

    def _due_s(self, time_ms: int) -> float:
        began_ms, began_s = self._began or (time_ms, time.monotonic())
        self._began = began_ms, began_s
        return began_s + (time_ms - began_ms) / 1000 / self._speed

    def _take(self, partition: Partition) -> None:
        _, record = self._waiting[partition].popleft()
        self._waiting_bytes[partition] -= 0 if record is None else len(record.value)
        if (
            len(self._waiting[partition]) <= _WAITING_RECORDS // 2
            and self._waiting_bytes[partition] <= self._max_bytes // 2
        ):
            self._span.resume(partition)

    def _fetch(self, timeout_s: float) -> None:
        """Reads on where there is room; waits as long where there is none."""
        if not self._span.unfinished:
            time.sleep(timeout_s)
            return
        for record in self._read(timeout_s, _PACED_RECORDS):
            partition, is_wanted = record.partition, self._is_wanted(record)
            self._waiting[partition].append((self._clock(record), record if is_wanted else None))
            self._waiting_bytes[partition] += len(record.value) if is_wanted else 0
        for partition, waiting in self._waiting.items():
            if len(waiting) >= _WAITING_RECORDS or self._waiting_bytes[partition] >= self._max_bytes:
                self._span.pause(partition)

    def _announce(self, due_s: float, time_ms: int) -> None:
        if due_s >= _LONG_WAIT_S and time_ms != self._announced:
            self._announced = time_ms
            typer.echo(f"nothing was recorded for a while; the next is due in {due_s:.0f} s", err=True)

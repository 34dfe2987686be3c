import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from framebus.bus import Partition, Record
from framebus.cli.replay.reading import Clock, PacedReading, Reading, captured_time, record_time
from framebus.cli.replay.selection import Selection
from framebus.cli.span import Span
from tests.pictures import record

FIRST, SECOND, THIRD = (Partition("frames", number) for number in range(3))
T0_MS = 1_700_000_000_000


class Shelf:
    """Records in place of a span: given out in the order of the shelf, those of paused partitions later."""

    def __init__(self, *records: Record) -> None:
        self._records = list(records)
        self._paused: set[Partition] = set()
        self.unfinished = {one.partition for one in records}

    def poll(self, timeout_s: float, max_records: int = 100) -> list[Record]:
        ready = [one for one in self._records if one.partition not in self._paused][:max_records]
        self._records = [one for one in self._records if one not in ready]
        left = {one.partition for one in self._records}
        self.unfinished &= left
        if not ready:
            time.sleep(timeout_s)
        return ready

    @property
    def left(self) -> int:
        return len(self._records)

    def pause(self, partition: Partition) -> None:
        self._paused.add(partition)

    def resume(self, partition: Partition) -> None:
        self._paused.discard(partition)

    def leave(self, partition: Partition) -> None:
        self._records = [one for one in self._records if one.partition != partition]
        self.unfinished.discard(partition)

    def close(self) -> None:
        """There is nothing to close."""


def at(partition: Partition, *times_ms: int, camera: bytes = b"gate") -> list[Record]:
    return [
        Record(partition, offset, T0_MS + time_ms, camera, b"%d" % time_ms, ())
        for offset, time_ms in enumerate(times_ms)
    ]


def bounds(records: Sequence[Record]) -> tuple[dict[Partition, int], dict[Partition, int]]:
    partitions = {one.partition for one in records}
    count = {one: sum(record.partition == one for record in records) for one in partitions}
    return dict.fromkeys(partitions, 0), count


def paced(
    records: Sequence[Record],
    selection: Selection | None = None,
    speed: float = 1e6,
    clock: Clock = record_time,
) -> PacedReading:
    span = cast(Span, Shelf(*records))
    return PacedReading(span, selection or Selection(), *bounds(records), speed=speed, clock=clock)


def read(reading: Reading) -> list[bytes]:
    values = []
    while reading.pending:
        values += [one.value for one in reading.poll(5)]
    return values


def test_at_a_pace_records_of_all_partitions_come_in_the_order_of_time() -> None:
    records = [*at(FIRST, *range(0, 600, 2)), *at(SECOND, *range(1, 600, 2)), *at(THIRD, 300)]

    assert read(paced(records)) == [b"%d" % time_ms for time_ms in sorted([*range(600), 300])]


def test_what_is_earlier_than_the_one_before_it_comes_right_after_that() -> None:
    assert read(paced([*at(FIRST, 10, 500, 20), *at(SECOND, 15, 600)])) == [
        b"10",
        b"15",
        b"500",
        b"20",
        b"600",
    ]


def test_a_pace_of_two_takes_half_the_time() -> None:
    reading = paced(at(FIRST, 0, 500, 1_000), speed=2)
    began_s = time.monotonic()
    took_s = []
    while reading.pending:
        took_s += [time.monotonic() - began_s for _ in reading.poll(0.05)]

    assert took_s[1] >= 0.25
    assert took_s[2] >= 0.5


def test_a_partition_without_the_camera_does_not_hold_up_the_others() -> None:
    """Nor is it waited for, though its records are of a time that is not due for days."""
    days_ms = 10**9
    records = [*at(FIRST, 0, 1), *at(SECOND, *range(-days_ms, days_ms, days_ms // 200), camera=b"yard")]
    reading = paced(records, Selection(cameras=["gate"]), speed=1)

    assert read(reading) == [b"0", b"1"]
    assert reading.left_out == 400


def test_little_is_read_ahead_of_the_pace() -> None:
    records = at(FIRST, *range(0, 10_000_000, 10_000))
    reading = paced(records, speed=1)

    assert [one.value for one in reading.poll(0.5)] == [b"0"]
    assert reading.poll(0.5) == []
    assert reading.passed == 1
    assert cast(Shelf, reading._span).left >= len(records) - 100


def test_the_pace_may_go_by_capture() -> None:
    def captured(offset: int, ms: int) -> Record:
        header = datetime.fromtimestamp((T0_MS + ms) / 1000, UTC).isoformat().encode()
        return Record(Partition("frames", offset), 0, T0_MS, b"gate", b"%d" % ms, (("ce_time", header),))

    records = [captured(0, 40), captured(1, 20), captured(2, 30)]
    assert read(paced(records, clock=captured_time)) == [b"20", b"30", b"40"]
    assert captured_time(record(b"", headers=(("ce_time", b"noon"),), timestamp_ms=7)) == 7


def test_reading_ends_where_all_is_much_later_than_wanted() -> None:
    """And not at the first that is later: what a producer held while it was cut off comes behind it."""
    minute_ms = 60_000
    late = [0, 1, 20 * minute_ms, 2, *[20 * minute_ms] * 99, 3, *[20 * minute_ms] * 100]
    records = at(FIRST, *late, *[4] * 1_000)
    reading = Reading(cast(Span, Shelf(*records)), Selection(until_ms=T0_MS + 10), *bounds(records))

    assert read(reading)[:4] == [b"0", b"1", b"2", b"3"]
    assert reading.left_out < 1_000
    assert reading.passed == reading.total == len(records)

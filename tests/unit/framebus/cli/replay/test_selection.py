from datetime import UTC, datetime, timedelta

import pytest
import typer

from framebus.bus import Partition
from framebus.cli.replay import parse_pace
from framebus.cli.replay.selection import Bound, Mark, Selection, parse_mark, parse_until
from framebus.cli.span import Extent
from tests.pictures import record

FIRST, SECOND, THIRD = (Partition("frames", number) for number in range(3))


@pytest.mark.parametrize(("text", "mark"), [("1200", Mark(None, 1200)), ("3/17", Mark(3, 17))])
def test_an_offset_is_of_all_partitions_or_of_one(text: str, mark: Mark) -> None:
    assert parse_mark(text) == mark
    assert parse_until(text) == Bound(mark=mark)


@pytest.mark.parametrize("text", ["", "x", "3/", "/3", "-1", "1/2/3", "10m", "9" * 19, "٣"])
def test_what_is_no_offset_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no offset; write one such as 1200"):
        parse_mark(text)


def test_the_end_may_be_a_time_but_none_in_the_future() -> None:
    assert parse_until("2026-01-31T12:00:00Z").moment == datetime(2026, 1, 31, 12, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before - timedelta(minutes=10) <= (parse_until("10m").moment or before) < before
    assert before <= (parse_until("now").moment or before) <= datetime.now(UTC)
    with pytest.raises(typer.BadParameter, match="is in the future"):
        parse_until("2999-01-01T00:00:00Z")
    with pytest.raises(typer.BadParameter, match="is no time"):
        parse_until("yesterday")


@pytest.mark.parametrize(("text", "pace"), [("1", 1), ("2x", 2), ("0.5X", 0.5)])
def test_a_pace_is_a_factor(text: str, pace: float) -> None:
    assert parse_pace(text) == pace


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", "fast"])
def test_what_is_no_pace_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no pace; write 1"):
        parse_pace(text)


def test_a_record_is_meant_by_time_and_camera() -> None:
    selection = Selection(cameras=["gate"], since_ms=10, until_ms=20)

    meant = [ms for ms in (9, 10, 19, 20) if selection.includes(record(b"", key=b"gate", timestamp_ms=ms))]

    assert meant == [10, 19]
    assert not selection.includes(record(b"", key=b"yard", timestamp_ms=15))
    assert Selection(cameras=["frames/0"]).includes(record(b"", key=None))
    assert Selection(cameras=[r"a\x1b"]).includes(record(b"", key=b"a\x1b"))


def extent() -> Extent:
    return Extent({FIRST: 5, SECOND: 0, THIRD: 0}, {FIRST: 30, SECOND: 20, THIRD: 10})


def test_without_bounds_all_that_is_kept_is_read() -> None:
    assert Selection().within(extent(), None) == (extent().oldest, extent().end)


def test_offsets_of_all_partitions_bound_each_of_them() -> None:
    begin, end = Selection(begin=[Mark(None, 8)], end=[Mark(None, 15)]).within(extent(), None)

    assert begin == {FIRST: 8, SECOND: 8, THIRD: 8}
    assert end == {FIRST: 15, SECOND: 15, THIRD: 10}


def test_offsets_of_partitions_leave_the_others_out() -> None:
    selection = Selection(begin=[Mark(0, 2), Mark(1, 7)], end=[Mark(1, 9)])

    assert selection.within(extent(), None) == ({FIRST: 5, SECOND: 7}, {FIRST: 30, SECOND: 9})
    assert list(selection.not_kept(extent())) == ["frames/0 keeps nothing before offset 5"]


def test_a_time_after_all_records_of_a_partition_reads_nothing_of_it() -> None:
    begin, end = Selection(since_ms=1).within(extent(), {FIRST: 12})

    assert begin == {FIRST: 12, SECOND: 20, THIRD: 10}
    assert end == extent().end


def test_a_partition_that_is_not_there_is_an_error() -> None:
    with pytest.raises(typer.BadParameter, match="frames has no partition 8; it has 8, from 0 to 7"):
        Selection(begin=[Mark(8, 0)]).check({"frames": 8})
    with pytest.raises(typer.BadParameter, match="one topic at a time"):
        Selection(end=[Mark(None, 7)]).check({"frames": 8, "more": 8})

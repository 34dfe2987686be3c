"""What `framebus replay` reads, when, and where it may go; tests/integration has it whole."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import typer
from typer.testing import CliRunner

from framebus.bus import Partition, Record
from framebus.cli import app
from framebus.cli.replay import parse_pace
from framebus.cli.replay.reading import Clock, PacedReading, Reading, captured_time, record_time
from framebus.cli.replay.selection import Bound, Mark, Selection, parse_mark, parse_until
from framebus.cli.replay.tally import Tally
from framebus.cli.replay.to_files import INDEX, DetectionLines, PictureFolder, folder_name
from framebus.cli.replay.topics import check_target, source_topics
from framebus.cli.span import Extent, Span
from framebus.environment import load_settings
from framebus.errors import FramebusError
from framebus.wire import DETECTIONS_TYPE
from tests.pictures import jpeg, record

FIRST, SECOND, THIRD = (Partition("frames", number) for number in range(3))
T0_MS = 1_700_000_000_000


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


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("frames.dead", "dead replay"),
        ("detections.ssd", "write --model ssd"),
        ("framebus.commands", "is no topic of frames"),
        ("__consumer_offsets", "is no topic of frames"),
    ],
)
def test_only_topics_of_frames_are_read_as_frames(topic: str, hint: str) -> None:
    with pytest.raises(typer.BadParameter, match=hint):
        source_topics(load_settings(), [topic], [])


def test_topics_are_named_as_everywhere() -> None:
    assert source_topics(load_settings(), [], []) == ["frames"]
    assert source_topics(load_settings(), ["north", "south", "north"], []) == ["north", "south"]
    assert source_topics(load_settings(), [], ["ssd", "ssd"]) == ["detections.ssd"]


@pytest.mark.parametrize(
    ("target", "of_frames", "hint"),
    [
        ("frames", True, "--same-topic"),
        ("frames.dead", True, "is no topic of frames"),
        ("detections.ssd", True, "is no topic of frames"),
        ("framebus.workers", True, "is no topic of frames"),
        ("frames", False, "would become dead letters"),
        ("frames.dead", False, "is no topic of detections"),
        ("framebus.workers", False, "is no topic of detections"),
    ],
)
def test_records_go_only_where_they_may_stand(target: str, of_frames: bool, hint: str) -> None:
    sources = ["frames"] if of_frames else ["detections.ssd"]
    with pytest.raises(typer.BadParameter, match=hint):
        check_target(load_settings(), sources, target, of_frames=of_frames, same_topic=False)


@pytest.mark.parametrize(
    ("target", "of_frames"), [("copy", True), ("detections.other", False), ("copy", False)]
)
def test_records_may_go_to_topics_like_their_own(target: str, of_frames: bool) -> None:
    check_target(load_settings(), ["frames"], target, of_frames=of_frames, same_topic=False)
    check_target(load_settings(), ["frames"], "frames", of_frames=True, same_topic=True)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ([], "either --to-topic NAME or --to PATH"),
        (["--to-topic", "copy", "--to", "copy"], "either --to-topic NAME or --to PATH"),
        (["--topic", "frames", "--model", "ssd", "--to", "x"], "give one of them"),
        (["--to", "-"], "--to - is for detections"),
        (["--model", "ssd", "--to", "-", "--json"], "--to - is for detections"),
        (["--to-topic", "frames"], "--same-topic"),
    ],
)
def test_options_that_contradict_are_refused_before_anything_is_asked(options: list[str], hint: str) -> None:
    done = CliRunner(env={"COLUMNS": "400", "TERM": "dumb"}).invoke(app, ["replay", *options])

    assert done.exit_code == 2
    assert hint in done.stderr


def test_pictures_lie_in_a_folder_of_their_camera_in_the_order_of_capture(tmp_path: Path) -> None:
    tally = Tally("frames")
    folder = PictureFolder(tmp_path / "new" / "replay", tally)
    headers = (("ce_id", b"42"), ("odd", b"\xff"), ("none", None), ("ce_id", b"43"))
    folder.take(record(jpeg(), key=b"yard/2", headers=headers, partition=3, offset=17, timestamp_ms=T0_MS))
    folder.take(record(b"no picture", key=b"yard/2", partition=3, offset=9, timestamp_ms=T0_MS + 1))
    folder.finish()
    folder.close()

    directory = tmp_path / "new" / "replay"
    names = sorted(path.name for path in (directory / "yard%2F2").iterdir())
    assert names == [
        "20231114T221320.000Z-frames-3-000000017.jpg",
        "20231114T221320.001Z-frames-3-000000009.bin",
    ]
    assert (directory / "yard%2F2" / names[0]).read_bytes() == jpeg()
    first, second = map(json.loads, (directory / INDEX).read_text().splitlines())
    assert first == {
        "file": f"yard%2F2/{names[0]}",
        "camera": "yard/2",
        "captured": "2023-11-14T22:13:20.000Z",
        "published": "2023-11-14T22:13:20.000Z",
        "topic": "frames",
        "partition": 3,
        "offset": 17,
        "bytes": len(jpeg()),
        "key": "yard/2",
        "headers": [["ce_id", "42"], ["odd", "\\xff"], ["none", None], ["ce_id", "43"]],
    }
    assert (second["file"], tally.replayed) == (f"yard%2F2/{names[1]}", 2)


@pytest.mark.parametrize(
    "camera", ["..", ".", "/etc/passwd", "../../x", INDEX, ".hidden", "a" * 10_000, "\x1b[2J\n"]
)
def test_no_camera_leaves_its_directory(camera: str, tmp_path: Path) -> None:
    directory = tmp_path / "replay"
    folder = PictureFolder(directory, Tally("frames"))
    folder.take(record(key=camera.encode()))
    folder.close()

    assert [path.name for path in tmp_path.iterdir()] == ["replay"]
    assert {path.name for path in directory.iterdir()} == {INDEX, folder_name(camera)}
    assert len(list((directory / folder_name(camera)).iterdir())) == 1


def test_long_ids_keep_apart() -> None:
    assert folder_name("a" * 300) != folder_name("a" * 301)


def test_frames_of_another_replay_are_not_mixed_with(tmp_path: Path) -> None:
    PictureFolder(tmp_path, Tally("frames")).close()
    with pytest.raises(FramebusError, match="frames of another replay; name a new directory"):
        PictureFolder(tmp_path, Tally("frames"))


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(FramebusError, match=str(path)):
            PictureFolder(path, Tally("frames"))


def test_detections_are_lines_of_json_and_nothing_else_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally("detections")
    headers = (("ce_type", DETECTIONS_TYPE.encode()),)
    lines = DetectionLines(tmp_path / "new.jsonl", tally)
    lines.take(record(b'{"id":\n 1}', headers=headers))
    lines.take(record(b'{"id": 2}'))
    lines.take(record(b'{"id":', headers=headers, partition=1, offset=7))
    lines.finish()
    lines.close()

    assert (tmp_path / "new.jsonl").read_text() == '{"id":1}\n'
    assert (tally.replayed, tally.refused) == (1, 2)
    assert "frames/1/7 is not replayed: it is no detection message" in capsys.readouterr().err
    with pytest.raises(FramebusError, match="is there already; name a new file"):
        DetectionLines(tmp_path / "new.jsonl", tally)


def test_a_stopped_replay_says_how_to_go_on() -> None:
    tally = Tally("frames", replayed=2, left_out=1, refused=1, next={SECOND: 7, FIRST: 3})

    words = tally.in_words("copy", stopped=True)

    assert words.startswith("2 frames replayed to copy in ")
    assert words.endswith("go on with --offset 0/3 --offset 1/7")
    assert tally.as_json(stopped=True)["next"] == [
        {"topic": "frames", "partition": 0, "offset": 3},
        {"topic": "frames", "partition": 1, "offset": 7},
    ]

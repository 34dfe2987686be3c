"""Which records are replayed, as the options say it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from framebus.bus import Partition, Record
from framebus.cli.moments import as_milliseconds, parse_since
from framebus.cli.printable import printable

if TYPE_CHECKING:
    from framebus.cli.span import Extent

_MARK = re.compile(r"(?:([0-9]{1,9})/)?([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Mark:
    """An offset, of one partition or of all of them."""

    partition: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a replay ends: before a time, or before an offset."""

    moment: datetime | None = None
    mark: Mark | None = None


def parse_mark(text: str) -> Mark:
    """Reads `<offset>` or `<partition>/<offset>`.

    Raises:
        BadParameter: It is neither.
    """
    if (found := _MARK.fullmatch(text)) is None:
        raise typer.BadParameter(
            f"{text!r} is no offset; write one such as 1200 for all partitions, or 3/1200 for partition 3"
        )
    return Mark(None if found[1] is None else int(found[1]), int(found[2]))


def parse_until(text: str) -> Bound:
    """Reads an offset as `parse_mark` does, `now`, or a time as `--since` does.

    Raises:
        BadParameter: It is none of these, or in the future.
    """
    if _MARK.fullmatch(text):
        return Bound(mark=parse_mark(text))
    moment = datetime.now(UTC) if text == "now" else parse_since(text)
    if moment > datetime.now(UTC):
        raise typer.BadParameter(f"{text} is in the future, and a replay ends with what is there by now")
    return Bound(moment=moment)


def camera_of(record: Record) -> str:
    """The camera of a frame or of detections, as they name it; what is not UTF-8 in it is replaced."""
    partition = record.partition
    return (record.key or b"").decode(errors="replace") or f"{partition.topic}/{partition.number}"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is true of the records that are meant; what is empty is true of any.

    Attributes:
        cameras: Their cameras, as they are shown.
        since_ms: They were published then or later, in milliseconds since 1970.
        until_ms: They were published before then.
        begin: They stand there or later.
        end: They stand before there.
    """

    cameras: Sequence[str] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    begin: Sequence[Mark] = ()
    end: Sequence[Mark] = ()

    @classmethod
    def of(
        cls,
        cameras: Sequence[str] | None,
        since: datetime | None,
        begin: Sequence[Mark] | None,
        until: Sequence[Bound] | None,
    ) -> "Selection":
        """What the options say."""
        moments = [bound.moment for bound in until or () if bound.moment is not None]
        return cls(
            cameras=[printable(camera) for camera in cameras or ()],
            since_ms=None if since is None else as_milliseconds(since),
            until_ms=as_milliseconds(min(moments)) if moments else None,
            begin=begin or (),
            end=[bound.mark for bound in until or () if bound.mark is not None],
        )

    @property
    def partitions(self) -> set[int]:
        """The partitions that are named; none: all are meant."""
        return {mark.partition for mark in (*self.begin, *self.end) if mark.partition is not None}

    def includes(self, record: Record) -> bool:
        """Whether a record that stands where it should is meant."""
        return (
            (self.since_ms is None or record.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or record.timestamp_ms < self.until_ms)
            and (not self.cameras or printable(camera_of(record)) in self.cameras)
        )

    def check(self, topics: Mapping[str, int]) -> None:
        """Refuses partitions that are not there.

        Args:
            topics: What is read, with the number of partitions of each.

        Raises:
            BadParameter: A partition is missing, or it is not clear of which topic it is.
        """
        if (self.begin or self.end) and len(topics) > 1:
            raise typer.BadParameter("offsets are of one topic each; replay one topic at a time")
        for name, count in topics.items():
            if missing := sorted(one for one in self.partitions if one >= count):
                raise typer.BadParameter(
                    f"topic {name} has no partition {missing[0]}; it has {count}, from 0 to {count - 1}"
                )

    def not_kept(self, extent: "Extent") -> Iterator[str]:
        """Tells where reading begins later than asked, for what is older is not kept."""
        for mark in self.begin:
            for partition, oldest in sorted(extent.oldest.items()):
                if mark.partition in (None, partition.number) and mark.offset < oldest:
                    yield f"{partition.topic}/{partition.number} keeps nothing before offset {oldest}"

    def within(
        self, extent: "Extent", first_since: Mapping[Partition, int] | None
    ) -> tuple[dict[Partition, int], dict[Partition, int]]:
        """Where reading begins and ends in each partition, so that no record that is meant is missed.

        Args:
            extent: What the partitions keep.
            first_since: The first offset of each partition since `since_ms`, if that is given.
        """
        wanted = [one for one in extent.end if not self.partitions or one.number in self.partitions]
        begin, end = {}, {}
        for one in wanted:
            last = extent.end[one]
            first = extent.oldest[one] if first_since is None else first_since.get(one, last)
            begin[one] = max([first, *_offsets(self.begin, one)])
            end[one] = min([last, *_offsets(self.end, one)])
        return begin, end


def _offsets(marks: Sequence[Mark], partition: Partition) -> list[int]:
    return [mark.offset for mark in marks if mark.partition in (None, partition.number)]

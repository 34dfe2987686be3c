"""Finds the frame that kills its process, so that it cannot do so for ever.

Beside a partition's committed offset stands a note: how often frames from there on were begun, and none
finished. Where that is twice, they run one at a time and alone in their pipeline, each noted before it
begins: who finds such a note knows which frame it was.
"""

import math
import time
from collections.abc import Mapping, Sequence

from consumer.assignment import Assignment
from consumer.offsets import OffsetTracker
from framebus.bus import BusConsumer, Committed, Partition, Record
from framebus.errors import TransportError
from framebus.logs import get_logger

_ATTEMPTS = 2
_ATTEMPT = "attempt"
_ALONE = "alone"
# What was begun before is there when the partition is assigned: if nothing comes for so long, it is done.
_PATIENCE_S = 10.0
_COMMIT_TIMEOUT_S = 5.0

log = get_logger("consumer")


class Suspects:
    """Keeps the notes of one model's group; used by the thread that polls.

    Args:
        model: The model that the group is for.
        consumer: The member of the group.
        assignment: What the group gave it.
        max_in_flight_frames: So many frames of a partition can have been begun by a process that ended.
    """

    def __init__(
        self, *, model: str, consumer: BusConsumer, assignment: Assignment, max_in_flight_frames: int
    ) -> None:
        self._model = model
        self._consumer = consumer
        self._assignment = assignment
        self._max_in_flight_frames = max_in_flight_frames
        # What the bus had stored of partitions of which no frame came yet.
        self._found: dict[Partition, Committed] = {}
        self._begun: set[Partition] = set()
        # The offset up to which frames run alone; None until the first of them came.
        self._until: dict[Partition, int | None] = {}
        self._expires_s = 0.0
        self._is_noted_alone = False

    def look_up(self, partitions: Sequence[Partition]) -> None:
        """Reads the notes of partitions that were just assigned."""
        try:
            stored = self._consumer.committed(partitions)
        except TransportError as error:
            log.warning("whether a frame ended other processes cannot be told", error=str(error))
            return
        self._found.update(stored)
        for partition, committed in stored.items():
            if committed.note == _ALONE or _attempts(committed) >= _ATTEMPTS:
                log.warning(
                    "processes have ended again and again with frames from here on; they run one at a time",
                    model=self._model,
                    topic=partition.topic,
                    partition=partition.number,
                    offset=committed.offset,
                )
                self._until[partition] = None
                self._wait_for_more()

    def forget(self, partition: Partition) -> None:
        """The partition is another consumer's now."""
        self._found.pop(partition, None)
        self._until.pop(partition, None)
        self._begun.discard(partition)

    @property
    def run_alone(self) -> bool:
        """Whether frames are to be begun one at a time, with nothing else in flight."""
        if not self._until:
            return False
        if not self._is_idle():
            self._wait_for_more()
        elif time.monotonic() > self._expires_s:
            self._until.clear()
        return bool(self._until)

    def settle(self) -> None:
        """The frame that ran alone has finished: what ends the process from now on is another one."""
        if self._is_noted_alone:
            self._assignment.commit_all(_COMMIT_TIMEOUT_S)
            self._is_noted_alone = False

    def begin(self, records: Sequence[Record]) -> list[Record]:
        """Notes that these frames are about to be begun, and returns those that ended a process alone.

        Raises:
            TransportError: The bus refused for good.
        """
        if not records:
            return []
        tracked = self._assignment.tracked()
        if self._is_noted_alone:
            self.settle()
            records = [record for record in records if self._keeps(record.partition, tracked)]
        if self._until:
            self._leave_out_exhausted()
        guilty: list[Record] = []
        notes: dict[str, dict[Partition, int]] = {}
        for record in records:
            note = None
            if record.partition not in self._begun:
                self._begun.add(record.partition)
                found = self._found.pop(record.partition, Committed(record.offset))
                if found == Committed(record.offset, _ALONE):
                    guilty.append(record)
                if record.partition in self._until:
                    self._until[record.partition] = record.offset + self._max_in_flight_frames
                note = f"{_ATTEMPT} {_attempts(found) + 1}"
            # Several at once come only before anybody asked whether they run alone.
            if self._is_suspect(record) and record not in guilty and len(records) == 1:
                note = _ALONE
            if note is not None:
                notes.setdefault(note, {})[record.partition] = record.offset
            self._wait_for_more()
        self._is_noted_alone = _ALONE in notes
        for note, offsets in notes.items():
            # Where it went to another consumer meanwhile, a higher offset may stand.
            kept = {one: offset for one, offset in offsets.items() if self._keeps(one, tracked)}
            if kept:
                self._assignment.note(kept, note)
        return guilty

    def _keeps(self, partition: Partition, tracked: Mapping[Partition, OffsetTracker]) -> bool:
        """Whether the group has left a partition here since it was tracked so."""
        return self._assignment.tracked().get(partition) is tracked.get(partition)

    def _is_suspect(self, record: Record) -> bool:
        until = self._until.get(record.partition)
        if until is None:
            return False
        if record.offset >= until:
            del self._until[record.partition]
            return False
        return True

    def _wait_for_more(self) -> None:
        self._expires_s = time.monotonic() + _PATIENCE_S

    def _is_idle(self) -> bool:
        return all(offsets.wait_until_finished(0) for offsets in self._assignment.tracked().values())

    def _leave_out_exhausted(self) -> None:
        """Suspects no partition any more that has been read to its end."""
        ends = self._consumer.high_watermarks()
        tracked = self._assignment.tracked()
        for partition in list(self._until):
            found = self._found.get(partition)
            next_offset = tracked[partition].next_offset() if found is None else found.offset
            if next_offset is not None and next_offset >= ends.get(partition, math.inf):
                del self._until[partition]


def _attempts(committed: Committed) -> int:
    """How often frames from an offset on were begun in vain."""
    word, _, number = committed.note.partition(" ")
    return int(number) if word == _ATTEMPT and number.isdecimal() else 0

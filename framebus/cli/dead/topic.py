"""The dead-letter topic, read as an onlooker: its newest letters, all of them, or one by its place."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TypeVar

from framebus.bus import Partition, Record
from framebus.bus.kafka import KafkaAdmin, KafkaLookup
from framebus.cli.places import Place
from framebus.cli.span import READ_TIMEOUT_S, Extent, Span, silent
from framebus.dead_letters import DeadLetter, decode_dead_letter, restore
from framebus.errors import DeadLetterError, TransportError
from framebus.settings import Settings

# Of each partition at first; each further window, before the last, is twice as long.
_WINDOW_RECORDS = 64
_POLL_TIMEOUT_S = 0.2

Found = TypeVar("Found")


class DeadTopic:
    """Reads dead letters, and what was left out of them.

    What comes after the first look at the topic is not seen: a frame that dies anew does not come round.

    Args:
        settings: Where the brokers are, and what the topic is called.

    Attributes:
        name: The topic's name.
        partition_counts: Every topic there is, with its number of partitions.

    Raises:
        TransportError: No broker answers, or there is no such topic.
    """

    def __init__(self, settings: Settings) -> None:
        self.name = settings.topics.dead
        self._kafka = settings.kafka
        self.partition_counts: Mapping[str, int] = KafkaAdmin(settings.kafka).partition_counts()
        if self.name not in self.partition_counts:
            raise TransportError(
                f"topic {self.name} does not exist: no consumer ever ran here, or FRAMEBUS_TOPICS__DEAD or "
                "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS is not what the consumers have"
            )
        self._lookup = KafkaLookup(settings.kafka)
        self._extents: dict[str, Extent] = {}
        self._foreign = 0
        self._foreign_example = ""

    @property
    def foreign_records(self) -> str:
        """How many of the records read are no dead letters, and why not; empty if there are none."""
        if not self._foreign:
            return ""
        what = "1 record is" if self._foreign == 1 else f"{self._foreign} records are"
        return f"{what} left out, such as {self._foreign_example}"

    def newest(
        self, take: Callable[[DeadLetter], Found | None], *, count: int | None = None, since_ms: int = 0
    ) -> list[Found]:
        """Reads from the end backwards, as far as needed.

        Args:
            take: What to keep of a letter; None: nothing.
            count: So many are enough of each partition; by default all are needed.
            since_ms: What was written before, in milliseconds since 1970, is not needed.

        Returns:
            What was kept, in no order, perhaps more than was needed.

        Raises:
            TransportError: The bus failed.
        """
        found: defaultdict[Partition, list[Found]] = defaultdict(list)
        extent = self._extent_of(self.name)
        unread = {one: end for one, end in extent.end.items() if end > extent.oldest[one]}
        window = max(count or 0, _WINDOW_RECORDS)
        while unread:
            begin = {one: max(extent.oldest[one], end - window) for one, end in unread.items()}
            newest_ms: dict[Partition, int] = {}
            for record in self._between(begin, unread):
                partition = record.partition
                newest_ms[partition] = max(record.timestamp_ms, newest_ms.get(partition, 0))
                if (letter := self._letter(record)) is not None and (kept := take(letter)) is not None:
                    found[partition].append(kept)
            unread = {
                one: offset
                for one, offset in begin.items()
                if offset > extent.oldest[one]
                and (count is None or len(found[one]) < count)
                and newest_ms.get(one, since_ms) >= since_ms
            }
            window *= 2
        return [one for of_partition in found.values() for one in of_partition]

    def find(self, place: Place) -> DeadLetter:
        """Reads the dead letter at a place.

        Raises:
            DeadLetterError: There is none.
            TransportError: The bus failed.
        """
        record = self._find(Partition(self.name, place.partition), place.offset)
        if record is None:
            raise DeadLetterError(f"there is no record {place} on {self.name}, or not any more")
        try:
            return decode_dead_letter(record)
        except DeadLetterError as error:
            raise DeadLetterError(f"record {place} of {self.name}: {error}") from error

    def restored(self, letter: DeadLetter) -> DeadLetter:
        """A dead letter with what was left out of it, if its frame still stands where it was read.

        Raises:
            DeadLetterError: It does not.
            TransportError: The bus failed.
        """
        if not letter.left_out:
            return letter
        source = letter.source
        where = f"{source.topic}/{source.partition}/{source.offset}"
        frame = self._find(Partition(source.topic, source.partition), source.offset)
        if frame is None:
            raise DeadLetterError(
                f"{letter.left_out} left out, and the frame is not kept at {where} any more"
            )
        try:
            return restore(letter, frame)
        except DeadLetterError as error:
            raise DeadLetterError(f"{letter.left_out} left out, and of {where}: {error}") from error

    def close(self) -> None:
        """Frees the clients."""
        self._lookup.close()

    def _find(self, partition: Partition, offset: int) -> Record | None:
        if partition.number >= self.partition_counts.get(partition.topic, 0):
            return None
        extent = self._extent_of(partition.topic)
        if not extent.oldest[partition] <= offset < extent.end[partition]:
            return None
        asked_s = time.monotonic()
        record = self._lookup.find(partition, offset, READ_TIMEOUT_S)
        if record is None and time.monotonic() - asked_s >= READ_TIMEOUT_S:
            raise silent([partition])
        return record

    def _extent_of(self, topic: str) -> Extent:
        if topic not in self._extents:
            self._extents[topic] = Extent.of(self._kafka, {topic: self.partition_counts[topic]})
        return self._extents[topic]

    def _between(self, begin: Mapping[Partition, int], end: Mapping[Partition, int]) -> Iterator[Record]:
        with closing(Span(self._kafka, begin, end)) as span:
            while span.unfinished:
                yield from span.poll(_POLL_TIMEOUT_S)

    def _letter(self, record: Record) -> DeadLetter | None:
        try:
            return decode_dead_letter(record)
        except DeadLetterError as error:
            self._foreign += 1
            self._foreign_example = (
                self._foreign_example or f"{record.partition.number}/{record.offset}: {error}"
            )
            return None

"""What stands on partitions from one offset of each to another, read as an onlooker."""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Self

from framebus.bus import Partition, Record
from framebus.bus.kafka import KafkaCluster, KafkaReader
from framebus.errors import TransportError
from framebus.settings import KafkaSettings

_POLL_RECORDS = 100

READ_TIMEOUT_S = 30.0
"""Longer than a transaction may stay open (10 s by default), behind which nothing is read."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What each partition keeps: from the oldest offset up to, and without, the end."""

    oldest: Mapping[Partition, int]
    end: Mapping[Partition, int]

    @classmethod
    def of(cls, kafka: KafkaSettings, topics: Mapping[str, int]) -> Self:
        """Asks what topics keep now.

        Args:
            kafka: Where they are.
            topics: Their names, and the number of partitions of each.

        Raises:
            TransportError: The bus failed.
        """
        partitions = [Partition(topic, number) for topic, count in topics.items() for number in range(count)]
        with closing(KafkaReader(kafka)) as reader:
            reader.follow(list(topics), from_start=False)
            end = reader.end_offsets()
        return cls(KafkaCluster(kafka).oldest_offsets(partitions), end)


class Span:
    """Reads of each partition what stands from one offset up to, and without, another.

    Records come in order per partition; between partitions there is none.

    Args:
        kafka: Where they are.
        begin: The first offset of each partition.
        end: The offset after the last one of each partition; nothing is read of those that end first.

    Attributes:
        unfinished: The partitions of which more may come.
    """

    def __init__(
        self, kafka: KafkaSettings, begin: Mapping[Partition, int], end: Mapping[Partition, int]
    ) -> None:
        self._end = end
        self._reader = KafkaReader(kafka)
        self.unfinished = {one for one, offset in begin.items() if offset < end[one]}
        self._paused: set[Partition] = set()
        for partition in sorted(self.unfinished):
            self._reader.start_at(partition, begin[partition])
        self._heard_s = time.monotonic()

    def poll(self, timeout_s: float, max_records: int = _POLL_RECORDS) -> list[Record]:
        """Returns what is there, waiting at most `timeout_s` for the first.

        Raises:
            TransportError: The bus failed, or nothing has come for half a minute.
        """
        records = self._reader.poll(max_records, timeout_s)
        if records or self._paused >= self.unfinished:
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s >= READ_TIMEOUT_S:
            raise silent(self.unfinished)
        wanted = [
            one
            for one in records
            if one.partition in self.unfinished and one.offset < self._end[one.partition]
        ]
        for partition in list(self.unfinished):
            if self._reader.has_reached(partition, self._end[partition]):
                self.leave(partition)
        return wanted

    def leave(self, partition: Partition) -> None:
        """Reads no more of a partition."""
        self._reader.stop_reading(partition)
        self.unfinished.discard(partition)
        self._paused.discard(partition)

    def pause(self, partition: Partition) -> None:
        """Lets a partition wait."""
        if partition in self.unfinished - self._paused:
            self._reader.pause(partition)
            self._paused.add(partition)

    def resume(self, partition: Partition) -> None:
        """Goes on with a partition that was paused."""
        if partition in self._paused:
            self._reader.resume(partition)
            self._paused.discard(partition)

    def close(self) -> None:
        """Frees the client."""
        self._reader.close()


def silent(partitions: Iterable[Partition]) -> TransportError:
    """What to raise where nothing came for too long."""
    which = ", ".join(f"{one.topic}/{one.number}" for one in sorted(partitions))
    return TransportError(f"nothing came of {which} for {READ_TIMEOUT_S:.0f} s; is a broker down?")

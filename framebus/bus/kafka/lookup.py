"""Finding single records on Kafka, as fast as reading them in a row where they are asked for in a row."""

import time
from collections import OrderedDict

from framebus.bus import Partition, Record
from framebus.bus.kafka.reader import KafkaReader
from framebus.settings import KafkaSettings

# A gap of so many records is read over sooner than jumped over.
_LONGEST_GAP_RECORDS = 64
_POLL_TIMEOUT_S = 0.2


class KafkaLookup:
    """Finds records by their place.

    Places of one partition are best asked for in rising order, as the detections of its frames come: then the
    partition is read on instead of anew for each. What is read on the way is kept for a while.

    Args:
        settings: Where the brokers are.
        max_bytes: Of the values kept, one of any size apart.
    """

    def __init__(self, settings: KafkaSettings, max_bytes: int = 64 * 2**20) -> None:
        self._reader = KafkaReader(settings)
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Partition, int], Record] = OrderedDict()
        self._kept_bytes = 0
        self._asked: dict[Partition, int] = {}
        # The first offset that a partition keeps, where that is known.
        self._oldest: dict[Partition, int] = {}

    def find(self, partition: Partition, offset: int, timeout_s: float) -> Record | None:
        """Returns the record; None if its topic does not keep it any more, or it does not come in time.

        Raises:
            TransportError: The bus refused for good.
        """
        place = (partition, offset)
        if place not in self._kept and offset >= self._oldest.get(partition, 0):
            self._go_to(partition, offset)
            deadline_s = time.monotonic() + timeout_s
            while (next_offset := self._reader.next_offset(partition)) is not None and next_offset <= offset:
                if time.monotonic() > deadline_s:
                    return None
                # One by one: the one looked for is never pushed out by those behind it.
                for record in self._reader.poll(1, _POLL_TIMEOUT_S):
                    self._keep(record, wanted=partition)
            if place not in self._kept and next_offset is not None:
                self._oldest[partition] = next_offset - 1
        return self._kept.get(place)

    def close(self) -> None:
        """Frees the client."""
        self._reader.close()

    def _go_to(self, partition: Partition, offset: int) -> None:
        self._asked[partition] = offset
        next_offset = self._reader.next_offset(partition)
        if next_offset is None or not 0 <= offset - next_offset <= _LONGEST_GAP_RECORDS:
            self._reader.start_at(partition, offset)

    def _keep(self, record: Record, wanted: Partition) -> None:
        place = (record.partition, record.offset)
        if place not in self._kept:
            self._kept[place] = record
            self._kept_bytes += len(record.value)
        while self._kept_bytes > self._max_bytes and len(self._kept) > 1:
            (partition, offset), pushed_out = self._kept.popitem(last=False)
            self._kept_bytes -= len(pushed_out.value)
            if partition != wanted and offset > self._asked[partition]:
                # It runs ahead of what is asked for, and would go on to do so in vain.
                self._reader.stop_reading(partition)

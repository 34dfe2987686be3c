"""Reading from Kafka as an onlooker: without a group, and without a trace."""

import time
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from framebus.bus import Partition, Record
from framebus.bus.kafka.client import Troubles, new_client
from framebus.bus.kafka.consumer import READ_AHEAD, checked_record
from framebus.errors import TransportError
from framebus.settings import KafkaSettings

_REQUEST_TIMEOUT_S = 15.0


class KafkaReader:
    """Follows topics, or reads single records, and never commits anything."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._troubles = Troubles(settings.bootstrap_servers)
        self._consumer = new_client(
            Consumer,
            settings,
            {
                **READ_AHEAD,
                **settings.options,
                **settings.consumer_options,
                "group.id": f"{settings.group_id}-reader",
                "enable.auto.commit": "false",
                "error_cb": self._troubles,
            },
        )

    def follow(self, topics: Sequence[str], *, from_start: bool) -> None:
        """Reads all partitions of the topics, from their first record or from what comes from now on.

        Raises:
            TransportError: No broker answers, or there is no such topic.
        """
        offset = OFFSET_BEGINNING if from_start else OFFSET_END
        self._consumer.assign(
            [
                TopicPartition(topic, number, offset)
                for topic in topics
                for number in range(self._partitions(topic))
            ]
        )

    def read_at(self, partition: Partition, offset: int, timeout_s: float) -> Record | None:
        """Reads one record; None if the topic does not keep it any more, or it does not come in time."""
        self._consumer.assign([TopicPartition(partition.topic, partition.number, offset)])
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            for record in self.poll(1, left_s):
                if record.partition == partition:
                    return record if record.offset == offset else None
        return None

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Returns up to `max_records` that are there, waiting at most `timeout_s` for the first.

        Raises:
            TransportError: The bus refused for good.
        """
        first = self._consumer.poll(timeout_s)
        messages = [] if first is None else [first, *self._consumer.consume(max_records - 1, 0)]
        self._troubles.raise_if_hopeless()
        records = [checked_record(message) for message in messages]
        return [record for record in records if record is not None]

    def _partitions(self, topic: str) -> int:
        try:
            metadata = self._consumer.list_topics(topic, timeout=_REQUEST_TIMEOUT_S).topics[topic]
        except KafkaException as error:
            self._troubles.raise_if_hopeless()
            raise self._troubles.no_answer(error) from error
        if metadata.error is not None or not metadata.partitions:
            raise TransportError(f"topic {topic} does not exist; is a consumer for that model running?")
        return len(metadata.partitions)

    def close(self) -> None:
        """Frees the client."""
        self._consumer.close()

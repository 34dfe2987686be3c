"""When the broker had the detections of each frame, read from the records themselves."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import orjson

from framebus.bus import Partition, Record
from framebus.bus.kafka import KafkaAdmin, KafkaReader
from framebus.cli.bench.own_broker import OwnBroker
from framebus.errors import TransportError
from framebus.topics import detections_topic, topic_specs

_READ_RECORDS = 500
_POLL_S = 0.05
# So long without a record, and there are no more.
_SILENT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The detections of one frame, as far as time is concerned.

    Attributes:
        frame: Its number in its run.
        at_ms: When the broker appended the record, in milliseconds since 1970, whole ones.
        wait_ms: From the poll that brought the frame to its engine call, without decoding.
        decode_ms: Decoding.
        infer_ms: The engine call.
    """

    frame: int
    at_ms: int
    wait_ms: float
    decode_ms: float
    infer_ms: float


class Acknowledged:
    """The topic of a model's detections, which must not exist yet.

    It is read after a run and not during it, so reading takes no time of what is measured.

    Args:
        broker: Where it is.
        model: The model's name.
    """

    def __init__(self, broker: OwnBroker, model: str) -> None:
        self._settings = broker.settings
        topic = detections_topic(model)
        self._next = {Partition(topic, number): 0 for number in range(broker.settings.topics.partitions)}
        # With the moment of appending instead of that of handing over to the producer.
        config = {"message.timestamp.type": "LogAppendTime"}
        specs = topic_specs(broker.settings.topics, model, frames=[])
        KafkaAdmin(broker.settings.kafka).create_topics(
            [replace(spec, config={**spec.config, **config}) for spec in specs if spec.name == topic]
        )

    def read(self, run: str, frames: int) -> list[Answer]:
        """Reads the answers to a run that is over, by the frames' numbers.

        Args:
            run: As the frames' ids begin.
            frames: How many there must be.

        Raises:
            TransportError: There are fewer.
        """
        found: dict[int, Answer] = {}
        for record in self._records():
            message = orjson.loads(record.value)
            its_run, _, number = message["id"].rpartition("-")
            if its_run == run:
                timing = message["timing"]
                answer = Answer(
                    frame=int(number),
                    at_ms=record.timestamp_ms,
                    wait_ms=timing["waitMs"],
                    decode_ms=timing["decodeMs"],
                    infer_ms=timing["inferMs"],
                )
                found.setdefault(answer.frame, answer)
            if len(found) == frames:
                return [found[number] for number in sorted(found)]
        raise TransportError(f"of {frames} frames, {len(found)} have detections")

    def _records(self) -> Iterator[Record]:
        """What was not read yet, as long as something comes."""
        with closing(KafkaReader(self._settings.kafka)) as reader:
            for partition, offset in self._next.items():
                reader.start_at(partition, offset)
            heard_s = time.monotonic()
            while time.monotonic() - heard_s < _SILENT_S:
                for record in reader.poll(_READ_RECORDS, _POLL_S):
                    self._next[record.partition] = record.offset + 1
                    heard_s = time.monotonic()
                    yield record

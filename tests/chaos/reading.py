"""A subscriber to detections: a stock client and nothing of framebus; what it has is what counts."""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import RetriableError

from tests.tools.camera_load.reading import Position, end_offsets

Isolation = Literal["read_committed", "read_uncommitted"]
"""What Kafka calls `isolation.level`. The default of its clients is `read_uncommitted`, save librdkafka's."""

_POLL_TIMEOUT_MS = 200
_CATCH_UP_TIMEOUT_S = 120.0
_LOOK_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """A detection message; moments in milliseconds since 1970.

    Attributes:
        position: Where its frame stands, as the message says.
        camera_id: Its key.
        frame_id: The frame, as the message says.
        event_id: Its `ce_id`.
        appended_ms: When the broker had it.
        seen_ms: When this reader had it.
    """

    position: Position
    camera_id: str
    frame_id: str
    event_id: str
    appended_ms: int
    seen_ms: float


class Subscriber(threading.Thread):
    """Reads a topic of detections from its start, while it is written; ended with its `with`.

    Args:
        servers: Where the broker is.
        topic: The topic of detections.
        frames_topic: Answers to the frames of others are left out.
        isolation: What it wants to see of transactions.
    """

    def __init__(self, servers: str, topic: str, frames_topic: str, isolation: Isolation) -> None:
        super().__init__(name="subscriber", daemon=True)
        self._servers = servers
        self._topic = topic
        self._frames_topic = frames_topic
        self._reader = KafkaConsumer(bootstrap_servers=servers, isolation_level=isolation)
        numbers = self._reader.partitions_for_topic(topic) or set()
        self._partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        self._reader.assign(self._partitions)
        self._reader.seek_to_beginning()
        self._positions: dict[int, int] = {}
        self._failure: BaseException | None = None
        self._is_over = threading.Event()
        self.answers: list[Answer] = []
        """In the order of each partition; grows while it runs."""

    def __enter__(self) -> "Subscriber":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()

    def run(self) -> None:
        """Reads until told to stop."""
        try:
            with closing(self._reader):
                while not self._is_over.is_set():
                    try:
                        self._read()
                    except RetriableError:  # the broker is away
                        self._is_over.wait(_LOOK_INTERVAL_S)
        except BaseException as error:
            self._failure = error

    def _read(self) -> None:
        records = self._reader.poll(_POLL_TIMEOUT_MS)
        seen_ms = time.time() * 1000
        found = (_answer(record, seen_ms) for batch in records.values() for record in batch)
        self.answers += [answer for answer in found if answer.position[0] == self._frames_topic]
        for partition in self._partitions:
            if (position := self._reader.position(partition, timeout_ms=_POLL_TIMEOUT_MS)) is not None:
                self._positions[partition.partition] = position

    def catch_up(self) -> None:
        """Returns when it has read what is there now.

        Raises:
            RuntimeError: It could not be read; a transaction that stays open would be a reason.
        """
        ends = end_offsets(self._servers, self._topic)
        deadline_s = time.monotonic() + _CATCH_UP_TIMEOUT_S
        while any(self._positions.get(number, 0) < end for number, end in ends.items()):
            self.check()
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{self._topic} cannot be read to its end: {self._positions} of {ends}")
            time.sleep(_LOOK_INTERVAL_S)

    def check(self) -> None:
        """Raises what ended it before its time."""
        if self._failure is not None:
            raise RuntimeError(f"the reader of {self._topic} failed") from self._failure


def read_answers(servers: str, topic: str, frames_topic: str, isolation: Isolation) -> Sequence[Answer]:
    """All detection messages about the frames of a topic, as they stand now."""
    with Subscriber(servers, topic, frames_topic, isolation) as subscriber:
        subscriber.catch_up()
        return list(subscriber.answers)


def _answer(record: Any, seen_ms: float) -> Answer:
    message = json.loads(record.value)
    source = message["source"]
    return Answer(
        position=(source["topic"], source["partition"], source["offset"]),
        camera_id=record.key.decode(),
        frame_id=message["id"],
        event_id=dict(record.headers)["ce_id"].decode(),
        appended_ms=record.timestamp,
        seen_ms=seen_ms,
    )

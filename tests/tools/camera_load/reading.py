"""What stands on the topics, read from outside: with a stock client and nothing of framebus."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from PIL import Image

Position = tuple[str, int, int]
"""Topic, partition and offset of a frame."""

_POLL_TIMEOUT_MS = 1_000
_LARGEST_RECORD_BYTES = 10 * 2**20
_LARGEST_PICTURE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class PublishedFrame:
    """A frame as it stands on its topic; times in milliseconds since 1970."""

    position: Position
    camera_id: str
    frame_id: str
    captured_ms: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A detection message; moments in milliseconds since 1970.

    Attributes:
        appended_ms: When the broker had it.
        wait_ms: From poll to engine, without decoding.
        infer_ms: The engine's call, of the whole batch.
        total_ms: From capture to publishing.
    """

    position: Position
    camera_id: str
    frame_id: str
    captured_ms: float
    appended_ms: int
    width: int
    height: int
    wait_ms: float
    decode_ms: float
    infer_ms: float
    total_ms: float
    batch_size: int

    @property
    def age_ms(self) -> float:
        """From capture until the broker had it."""
        return self.appended_ms - self.captured_ms


def read_frames(servers: str, topic: str) -> list[PublishedFrame]:
    """All frames of a topic."""
    return [_frame(record) for record in _read(servers, topic)]


def read_answers(servers: str, topic: str, frames_topic: str) -> list[Answer]:
    """All detection messages about the frames of a topic; in order, per partition."""
    answers = (_answer(record) for record in _read(servers, topic))
    return [answer for answer in answers if answer.position[0] == frames_topic]


def read_dead_letters(servers: str, topic: str, model: str) -> list[Position]:
    """Where the frames stand that became dead letters of a model."""
    letters = (dict(record.headers) for record in _read(servers, topic))
    return [
        (headers["fb_topic"].decode(), int(headers["fb_partition"]), int(headers["fb_offset"]))
        for headers in letters
        if headers["fb_model"].decode() == model
    ]


def end_offsets(servers: str, topic: str) -> dict[int, int]:
    """The offset after the last record of each partition."""
    with closing(KafkaConsumer(bootstrap_servers=servers)) as reader:
        ends = reader.end_offsets(_partitions(reader, topic))
    return {partition.partition: offset for partition, offset in ends.items()}


def committed_offsets(servers: str, group: str, topic: str) -> dict[int, int]:
    """The offset that a group reads next, of each partition; 0 where it has committed none."""
    with closing(
        KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    ) as reader:
        return {
            partition.partition: reader.committed(partition) or 0 for partition in _partitions(reader, topic)
        }


def _partitions(reader: KafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]


def _read(servers: str, topic: str) -> Iterator[Any]:
    """Reads a topic from its start to where it ends now."""
    with closing(
        KafkaConsumer(
            bootstrap_servers=servers,
            max_partition_fetch_bytes=_LARGEST_PICTURE_BYTES,
            fetch_max_bytes=_LARGEST_RECORD_BYTES,
        )
    ) as reader:
        partitions = _partitions(reader, topic)
        reader.assign(partitions)
        reader.seek_to_beginning()
        ends: Mapping[TopicPartition, int] = reader.end_offsets(partitions)
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for records in reader.poll(_POLL_TIMEOUT_MS).values():
                yield from records


def _frame(record: Any) -> PublishedFrame:
    headers = dict(record.headers)
    with Image.open(io.BytesIO(record.value)) as picture:
        width, height = picture.size
    return PublishedFrame(
        position=(record.topic, record.partition, record.offset),
        camera_id=record.key.decode(),
        frame_id=headers["ce_id"].decode(),
        captured_ms=_milliseconds(headers["ce_time"].decode()),
        width=width,
        height=height,
    )


def _answer(record: Any) -> Answer:
    message = json.loads(record.value)
    source, timing = message["source"], message["timing"]
    return Answer(
        position=(source["topic"], source["partition"], source["offset"]),
        camera_id=record.key.decode(),
        frame_id=message["id"],
        captured_ms=_milliseconds(message["timestamp"]),
        appended_ms=record.timestamp,
        width=message["image"]["width"],
        height=message["image"]["height"],
        wait_ms=timing["waitMs"],
        decode_ms=timing["decodeMs"],
        infer_ms=timing["inferMs"],
        total_ms=timing["totalMs"],
        batch_size=timing["batchSize"],
    )


def _milliseconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() * 1000

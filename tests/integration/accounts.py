"""What became of every frame, as an onlooker counts it: with a stock client and nothing of framebus."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from kafka import KafkaConsumer, TopicPartition

Position = tuple[str, int, int]
"""Topic, partition and offset of a frame."""

_POLL_TIMEOUT_MS = 1_000
_OPEN_TRANSACTION_S = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """How many frames of a topic became what.

    Attributes:
        published: Frames on the topic.
        skipped: Numbers that are missing between the frames of a camera, or stand there again.
        answered: Frames with at least one detection message.
        dead: Frames with a dead letter.
        lost: Frames with neither.
        repeated: Detection messages of frames that had one before.
        unrecognisable: Of the repeated ones, those whose ce_id is not that of the first; and first ones with
            the ce_id of another frame's.
        out_of_order: First detection messages that came after one of a later frame of their camera.
    """

    published: int
    skipped: int
    answered: int
    dead: int
    lost: int
    repeated: int
    unrecognisable: int
    out_of_order: int

    def is_sound(self) -> bool:
        """Whether every frame of every camera was answered, in order; some again, under the same id."""
        return replace(self, repeated=0).is_flawless()

    def is_flawless(self) -> bool:
        """Whether every frame of every camera was answered exactly once, in order."""
        return self == Account(self.published, 0, self.published, 0, 0, 0, 0, 0)


def account(servers: str, frames_topic: str, detections_topic: str, dead_topic: str) -> Account:
    """Reads the three topics from start to end and matches them by the frames' positions.

    Args:
        servers: The broker.
        frames_topic: Where the frames are.
        detections_topic: Where their detections are, which may be those of other topics' frames too.
        dead_topic: Where their dead letters are.
    """
    frames = list(read(servers, frames_topic))
    answers = [record for record in read(servers, detections_topic) if _source(record)[0] == frames_topic]
    dead = {_source_of_dead(record) for record in read(servers, dead_topic)}
    positions = {(record.topic, record.partition, record.offset) for record in frames}
    ids: dict[Position, bytes] = {}
    repeated = unrecognisable = out_of_order = 0
    newest: dict[bytes, int] = {}
    for record in answers:
        position, ce_id = _source(record), dict(record.headers)["ce_id"]
        assert position in positions, f"an answer to what was never asked: {record}"
        if position in ids:
            repeated += 1
            unrecognisable += ids[position] != ce_id
            continue
        ids[position] = ce_id
        out_of_order += position[2] < newest.get(record.key, -1)
        newest[record.key] = max(position[2], newest.get(record.key, -1))
    return Account(
        published=len(frames),
        skipped=_skipped(frames),
        answered=len(ids),
        dead=len(dead),
        lost=len(positions - ids.keys() - dead),
        repeated=repeated,
        unrecognisable=unrecognisable + len(ids) - len(set(ids.values())),
        out_of_order=out_of_order,
    )


def read(servers: str, topic: str) -> Iterable[Any]:
    """Reads a topic from its start to where it ends now, without what no transaction has committed.

    A transaction that a killed consumer left open is waited for, until the broker ends it.
    """
    with closing(KafkaConsumer(bootstrap_servers=servers)) as onlooker:  # who sees what is not committed too
        partitions = [TopicPartition(topic, number) for number in onlooker.partitions_for_topic(topic) or ()]
        ends = onlooker.end_offsets(partitions)
    deadline_s = time.monotonic() + _OPEN_TRANSACTION_S
    with closing(KafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed")) as reader:
        reader.assign(partitions)
        reader.seek_to_beginning()
        while any(reader.position(partition) < end for partition, end in ends.items()):
            assert time.monotonic() < deadline_s, f"{topic} cannot be read to its end"
            for records in reader.poll(_POLL_TIMEOUT_MS).values():
                yield from records


def uncommitted(servers: str, group: str, topic: str) -> int:
    """How many frames of a topic its group has not finished yet."""
    with closing(
        KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    ) as reader:
        ends = reader.end_offsets(
            [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic) or ()]
        )
        return sum(end - (reader.committed(partition) or 0) for partition, end in ends.items())


def _source(record: Any) -> Position:
    source = json.loads(record.value)["source"]
    return source["topic"], source["partition"], source["offset"]


def _source_of_dead(record: Any) -> Position:
    headers = dict(record.headers)
    return headers["fb_topic"].decode(), int(headers["fb_partition"]), int(headers["fb_offset"])


def _skipped(frames: Sequence[Any]) -> int:
    numbers: dict[bytes, list[int]] = {}
    for record in frames:
        numbers.setdefault(record.key, []).append(int(dict(record.headers)["ce_sequence"]))
    steps = Counter(after - before for own in numbers.values() for before, after in pairwise([0, *own]))
    return steps.total() - steps[1]

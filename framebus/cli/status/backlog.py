"""What waits for each model: how far its group is in every topic of frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from framebus.bus import Partition
from framebus.bus.kafka import KafkaCluster, KafkaReader
from framebus.bus.kafka.cluster import ConsumerGroup

_OLDEST_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class PartitionBacklog:
    """How far a group is in one partition.

    Attributes:
        partition: Which one.
        oldest: The first offset that is kept.
        committed: The next offset to read; None if the group has committed nothing here.
        end: The offset after the newest frame.
    """

    partition: Partition
    oldest: int
    committed: int | None
    end: int

    @property
    def next(self) -> int:
        """Where the group goes on: a new one begins with the oldest frame that is kept."""
        return max(self.committed or 0, self.oldest)

    @property
    def lag(self) -> int:
        """Frames that wait, or were not committed yet."""
        return max(self.end - self.next, 0)


@dataclass(frozen=True, slots=True)
class TopicBacklog:
    """How far a group is in one topic.

    Attributes:
        topic: Its name.
        partitions: By number.
        oldest_waiting_s: How long ago the oldest frame that waits was published, in seconds; None if none
            waits, or it could not be read in time.
    """

    topic: str
    partitions: Sequence[PartitionBacklog]
    oldest_waiting_s: float | None

    @property
    def committed(self) -> int | None:
        """The sum over the partitions; None if nothing was committed."""
        committed = [one.committed for one in self.partitions if one.committed is not None]
        return sum(committed) if committed else None

    @property
    def end(self) -> int:
        """The sum over the partitions."""
        return sum(one.end for one in self.partitions)

    @property
    def lag(self) -> int:
        """Frames that wait in all partitions."""
        return sum(one.lag for one in self.partitions)

    def as_json(self) -> dict[str, Any]:
        """For scripts; docs/operating.md describes it."""
        return {
            "topic": self.topic,
            "committed": self.committed,
            "end": self.end,
            "lag": self.lag,
            "oldest_waiting_s": self.oldest_waiting_s,
            "partitions": [
                {
                    "partition": one.partition.number,
                    "committed": one.committed,
                    "end": one.end,
                    "lag": one.lag,
                }
                for one in self.partitions
            ],
        }


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model's consumers, and what waits for them."""

    model: str
    group_id: str
    group: ConsumerGroup
    topics: Sequence[TopicBacklog]

    @property
    def has_no_consumer(self) -> bool:
        """Whether it is known that nobody runs the model."""
        return self.group.members == ()

    def as_json(self) -> dict[str, Any]:
        """For scripts; docs/operating.md describes it."""
        consumers = None
        if self.group.members is not None:
            consumers = [
                {"client": one.client_id, "host": one.host, "partitions": by_topic(one.partitions)}
                for one in self.group.members
            ]
        return {
            "model": self.model,
            "group": self.group_id,
            "state": self.group.state,
            "consumers": consumers,
            "topics": [topic.as_json() for topic in self.topics],
        }


def by_topic(partitions: Sequence[Partition]) -> dict[str, list[int]]:
    """The numbers of the partitions of each topic."""
    numbers: dict[str, list[int]] = {}
    for partition in partitions:
        numbers.setdefault(partition.topic, []).append(partition.number)
    return numbers


def model_status(
    model: str,
    group_id: str,
    topics: Mapping[str, int],
    *,
    cluster: KafkaCluster,
    followed: KafkaReader,
    glance: KafkaReader,
) -> ModelStatus:
    """Compares what a model's group has committed with what there is.

    Args:
        model: Its name.
        group_id: Its group.
        topics: The topics of its frames, with their number of partitions.
        cluster: Tells what was committed.
        followed: Has fetched from all of these topics, and so knows where they end.
        glance: Reads the oldest frame that waits.
    """
    partitions = {
        topic: [Partition(topic, number) for number in range(count)] for topic, count in topics.items()
    }
    oldest = cluster.oldest_offsets([one for numbers in partitions.values() for one in numbers])
    group = cluster.group(group_id)
    # In this order: what is finished meanwhile counts as lag, and never the other way round.
    ends = followed.end_offsets()
    backlogs = []
    for topic, numbers in partitions.items():
        of_topic = [
            PartitionBacklog(one, oldest[one], group.committed.get(one), ends.get(one, oldest[one]))
            for one in numbers
        ]
        backlogs.append(TopicBacklog(topic, of_topic, _oldest_waiting_s(of_topic, glance)))
    return ModelStatus(model, group_id, group, backlogs)


def _oldest_waiting_s(partitions: Sequence[PartitionBacklog], glance: KafkaReader) -> float | None:
    waiting = {one.partition: one.next for one in partitions if one.lag > 0}
    if not waiting:
        return None
    first = glance.read_first(waiting, _OLDEST_TIMEOUT_S).values()
    published_s = min((record.timestamp_ms / 1000 for record in first), default=None)
    return None if published_s is None else round(max(datetime.now(UTC).timestamp() - published_s, 0), 3)

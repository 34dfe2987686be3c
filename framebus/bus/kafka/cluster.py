"""A Kafka cluster as an onlooker sees it: its brokers, and what consumer groups have done."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it has no __all__

from framebus.bus import Partition
from framebus.bus.kafka.client import Troubles, new_client
from framebus.errors import TransportError
from framebus.settings import KafkaSettings

_REQUEST_TIMEOUT_S = 15.0
_RETRY_INTERVAL_S = 0.2
# So a broker answers for a few seconds after the first question about any group, and after its start.
_COORDINATOR_IS_COMING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One consumer of a group.

    Attributes:
        client_id: What it calls itself.
        host: Where it is, as the broker sees it.
        partitions: What it reads.
    """

    client_id: str
    host: str
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """A group, as far as the broker tells.

    Attributes:
        state: `stable`, `empty` (it has no members), `dead` (there is no such group), or on its way.
        members: None if the broker does not tell them.
        committed: The next offset to read of each partition that something was committed for.
    """

    state: str
    members: tuple[GroupMember, ...] | None
    committed: Mapping[Partition, int]


class KafkaCluster:
    """Asks the brokers, changes nothing, and joins no group."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._bootstrap_servers = settings.bootstrap_servers
        self._troubles = Troubles(settings.bootstrap_servers)
        self._admin = new_client(AdminClient, settings, {**settings.options, "error_cb": self._troubles})

    def brokers(self) -> list[str]:
        """The brokers there are now, as host:port.

        Raises:
            TransportError: None answered.
        """
        metadata = self._ask(lambda: self._admin.list_topics(timeout=_REQUEST_TIMEOUT_S))
        return sorted(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())

    def group(self, group_id: str) -> ConsumerGroup:
        """Describes a group; one that there is not is `dead`, or `empty` on some brokers.

        Raises:
            TransportError: No broker answered, or this client may not know.
        """
        description = self._ask(
            lambda: self._admin.describe_consumer_groups([group_id], request_timeout=_REQUEST_TIMEOUT_S)[
                group_id
            ].result()
        )
        state = description.state.name.lower()
        members = tuple(
            GroupMember(
                client_id=str(member.client_id),
                host=str(member.host).removeprefix("/"),  # Java's way to write an address
                partitions=tuple(
                    sorted(
                        Partition(one.topic, one.partition)
                        for one in (member.assignment.topic_partitions if member.assignment else ())
                    )
                ),
            )
            for member in sorted(
                description.members, key=lambda one: (one.client_id, one.host, one.member_id)
            )
        )
        return ConsumerGroup(
            state=state,
            # A stable group has members; a broker that lists none does not tell them.
            members=None if state == "stable" and not members else members,
            committed=self._committed(group_id),
        )

    def oldest_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The first offset that each partition keeps.

        Raises:
            TransportError: No broker answered, or this client may not know.
        """
        return self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def first_offsets_since(self, partitions: Sequence[Partition], timestamp_ms: int) -> dict[Partition, int]:
        """The first offset of each partition whose record is of that time or later; none where there is none.

        The light broker (docs/adr/0005-local-broker.md) answers with the oldest offset, whatever is asked:
        who must be right about the time looks at the records, too.

        Raises:
            TransportError: No broker answered, or this client may not know.
        """
        offsets = self._offsets(partitions, OffsetSpec.for_timestamp(timestamp_ms))
        return {one: offset for one, offset in offsets.items() if offset >= 0}

    def _offsets(self, partitions: Sequence[Partition], which: OffsetSpec) -> dict[Partition, int]:
        if not partitions:
            return {}
        wanted = {TopicPartition(one.topic, one.number): which for one in partitions}
        answers = self._ask(
            lambda: {
                one: future.result()
                for one, future in self._admin.list_offsets(
                    wanted, request_timeout=_REQUEST_TIMEOUT_S
                ).items()
            }
        )
        return {Partition(one.topic, one.partition): answer.offset for one, answer in answers.items()}

    def _committed(self, group_id: str) -> dict[Partition, int]:
        asked = [ConsumerGroupTopicPartitions(group_id)]
        answer = self._ask(
            lambda: self._admin.list_consumer_group_offsets(asked, request_timeout=_REQUEST_TIMEOUT_S)[
                group_id
            ].result()
        )
        return {
            Partition(one.topic, one.partition): one.offset
            for one in answer.topic_partitions or ()
            if one.offset >= 0
        }

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        deadline_s = time.monotonic() + _REQUEST_TIMEOUT_S
        while True:
            try:
                return question()
            except KafkaException as error:
                self._admin.poll(0)  # it may know more
                self._troubles.raise_if_hopeless()
                why = error.args[0]
                if why.code() < 0:  # one of librdkafka's own: there was no answer
                    raise self._troubles.no_answer(error) from error
                if why.code() not in _COORDINATOR_IS_COMING or time.monotonic() > deadline_s:
                    raise TransportError(
                        f"broker {self._bootstrap_servers}: {why.name()} {why.str()}"
                    ) from error
            time.sleep(_RETRY_INTERVAL_S)

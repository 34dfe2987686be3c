"""Three nodes of Apache Kafka, to lose a leader or a coordinator and go on."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import AdminClient, PartitionMetadata, TopicMetadata  # type: ignore[attr-defined]  # it has no __all__

from framebus.local_broker.apache import SINGLE_NODE_PROPERTIES
from framebus.local_broker.ports import LOOPBACK, free_ports
from tests.apache_node import ApacheNode

_NODES = 3
_REQUEST_TIMEOUT_S = _ELECTION_TIMEOUT_S = 30.0
# What has to outlive any one node is on all of them, and was not written before two of them have it.
_REPLICATION = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    # How soon another node leads when one dies (the default is 9 s).
    "broker.session.timeout.ms": "4000",
}


class ApacheCluster:
    """A cluster of three nodes, each of them broker and controller; any one may die.

    Args:
        directory: Keeps what they store.

    Attributes:
        nodes: By their id.
    """

    def __init__(self, directory: Path) -> None:
        ports = iter(free_ports(2 * _NODES))
        clients = {number: f"{LOOPBACK}:{next(ports)}" for number in range(1, _NODES + 1)}
        controllers = {number: f"{LOOPBACK}:{next(ports)}" for number in range(1, _NODES + 1)}
        shared = {
            "process.roles": "broker,controller",
            "controller.quorum.voters": ",".join(
                f"{number}@{address}" for number, address in controllers.items()
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": "data",
        }
        self.nodes = {
            number: ApacheNode(
                directory / f"node-{number}",
                SINGLE_NODE_PROPERTIES
                | _REPLICATION
                | shared
                | {
                    "node.id": str(number),
                    "listeners": f"PLAINTEXT://{clients[number]},CONTROLLER://{controllers[number]}",
                },
            )
            for number in clients
        }

    def __enter__(self) -> Self:
        with ExitStack() as on_failure:
            on_failure.callback(self._kill)
            for node in self.nodes.values():
                node.launch()
            for node in self.nodes.values():
                node.wait_until_started()
            on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kill()

    @property
    def bootstrap_servers(self) -> str:
        """All of its nodes, for clients."""
        return ",".join(node.bootstrap_servers for node in self.nodes.values())

    def leader(self, topic: str, partition: int) -> ApacheNode:
        """The node that serves a partition, as soon as there is one."""
        deadline_s = time.monotonic() + _ELECTION_TIMEOUT_S
        while (leader := self._leader_id(topic, partition)) not in self.nodes:
            assert time.monotonic() < deadline_s, f"nobody leads {topic}/{partition}"
            time.sleep(0.2)
        return self.nodes[leader]

    def group_coordinator(self, group_id: str) -> ApacheNode:
        """The node that looks after a consumer group which has committed something."""
        return self._leader_of_key("__consumer_offsets", group_id)

    def transaction_coordinator(self, transactional_id: str) -> ApacheNode:
        """The node that looks after the transactions of a producer which has begun one."""
        return self._leader_of_key("__transaction_state", transactional_id)

    def wait_for_replicas(self) -> None:
        """Returns when every partition is whole on every node, so that the next one may die."""
        deadline_s = time.monotonic() + _ELECTION_TIMEOUT_S
        while not all(len(partition.isrs) == _NODES for partition in self._all_partitions()):
            assert time.monotonic() < deadline_s, "some partitions are not on every node"
            time.sleep(0.2)

    def _leader_id(self, topic: str, partition: int) -> int | None:
        partitions = self._partitions(topic)  # none where a new topic is not known yet
        return partitions[partition].leader if partition in partitions else None

    def _leader_of_key(self, topic: str, key: str) -> ApacheNode:
        return self.leader(topic, _java_hash(key) % len(self._partitions(topic)))

    def _partitions(self, topic: str) -> Mapping[int, PartitionMetadata]:
        return self._topics().get(topic, TopicMetadata()).partitions

    def _all_partitions(self) -> Iterator[PartitionMetadata]:
        return (partition for topic in self._topics().values() for partition in topic.partitions.values())

    def _topics(self) -> Mapping[str, TopicMetadata]:
        asker = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": "0"})
        return asker.list_topics(timeout=_REQUEST_TIMEOUT_S).topics

    def _kill(self) -> None:
        for node in self.nodes.values():
            node.kill()


def _java_hash(text: str) -> int:
    """Java's String.hashCode without its sign: by it Kafka chooses who looks after a group."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) % 2**32
    return value % 2**31

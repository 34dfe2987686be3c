"""Apache Kafka for the tests that have it stop, die, freeze or lose a leader; tests leave it running."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from framebus.environment import load_settings
from framebus.local_broker import why_no_apache
from framebus.local_broker.ports import LOOPBACK, free_ports
from tests.apache_cluster import ApacheCluster
from tests.apache_node import ApacheNode, single_node


@dataclass(frozen=True, slots=True)
class FaultyBroker:
    """A broker that tests may do anything to, and the way round to it.

    Attributes:
        node: The broker.
        port: Of its second listener, which tells clients to come to `link_port`.
        link_port: Where a test may put something between clients and broker.
    """

    node: ApacheNode
    port: int
    link_port: int


@pytest.fixture(scope="session")
def _apache_kafka() -> None:
    if reason := why_no_apache(load_settings()):
        pytest.skip(f"without Apache Kafka: {reason}")


@pytest.fixture(scope="session")
def faulty_broker(_apache_kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyBroker]:
    port, link_port = free_ports(2)
    properties = single_node()
    client, controller = properties["listeners"].split(",")
    properties |= {
        "listeners": f"{client},LINK://{LOOPBACK}:{port},{controller}",
        "advertised.listeners": f"{client},LINK://{LOOPBACK}:{link_port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LINK:PLAINTEXT",
        "broker.session.timeout.ms": "4000",  # for so long a broker that was killed is not let in again
    }
    with ApacheNode(tmp_path_factory.mktemp("node"), properties) as node:
        yield FaultyBroker(node, port, link_port)


@pytest.fixture(scope="session")
def node(faulty_broker: FaultyBroker) -> ApacheNode:
    return faulty_broker.node


@pytest.fixture(scope="module")
def cluster(_apache_kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheCluster]:
    with ApacheCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster

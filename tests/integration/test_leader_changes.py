"""A cluster that loses a node: nothing is lost, and each camera's order holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apache_cluster import ApacheCluster
from tests.apache_node import ApacheNode
from tests.integration.installation import Installation

_CAMERAS = 6
_INSTANCE_ID = "worker-1"


@pytest.mark.slow
def test_nothing_is_lost_or_repeated_when_one_node_after_the_other_dies(
    cluster: ApacheCluster, tmp_path: Path
) -> None:
    with Installation(
        cluster.bootstrap_servers, tmp_path, replication_factor=3, delivery="exactly_once"
    ) as installation:
        installation.create_topics()
        consumer = installation.consumer(FRAMEBUS_CONSUMER__INSTANCE_ID=_INSTANCE_ID)
        producer = installation.producer(cameras=_CAMERAS, fps=5)
        consumer.until_ready()
        installation.until_more_frames(consumer)

        to_strike: dict[str, Callable[[], ApacheNode]] = {
            "leader of frames": lambda: cluster.leader(installation.topic, 0),
            "group coordinator": lambda: cluster.group_coordinator(installation.model_group),
            "transaction coordinator": lambda: cluster.transaction_coordinator(
                f"{installation.model_group}.{_INSTANCE_ID}"
            ),
        }
        while to_strike:
            node = next(iter(to_strike.values()))()
            to_strike = {role: holder for role, holder in to_strike.items() if holder() is not node}
            node.kill()
            try:
                # As many as cannot be on their way already.
                installation.until_more_frames(consumer, each=100)
            finally:
                node.start()
            cluster.wait_for_replicas()

        producer.stop()
        installation.wait_until_committed()
        consumer.stop()
        installation.assert_delivered()

"""Consumers that come, go, freeze and are restarted while frames flow; an onlooker counts every frame."""

import signal
from pathlib import Path

import pytest

from tests.apache_node import ApacheNode
from tests.integration.framebus_process import FramebusProcess
from tests.integration.installation import Installation

_PARTITIONS = 6
_CAMERAS = 12
_ROUNDS = 2


def install(node: ApacheNode, directory: Path, delivery: str = "at_least_once") -> Installation:
    """Topics and a model whose calls take so long that two consumers are busy with what the cameras give."""
    installation = Installation(
        node.bootstrap_servers, directory, partitions=_PARTITIONS, call_s=0.2, delivery=delivery
    )
    installation.create_topics()
    return installation


@pytest.mark.slow
def test_a_consumer_that_joins_and_leaves_interrupts_only_what_it_takes(
    node: ApacheNode, tmp_path: Path
) -> None:
    with install(node, tmp_path) as installation:
        steady = [installation.consumer(), installation.consumer()]
        installation.until_shared(*steady)
        producer = installation.producer(cameras=_CAMERAS, fps=5)
        installation.until_more_frames(*steady)
        before = [len(consumer.group_changes()) for consumer in steady]
        taken = 0
        for _ in range(_ROUNDS):
            guest = installation.consumer()
            installation.until_shared(*steady, guest)
            installation.until_more_frames(guest)
            taken += len(guest.partitions())
            guest.stop()
            installation.until_shared(*steady)

        changes = [
            line
            for consumer, count in zip(steady, before, strict=True)
            for line in consumer.group_changes()[count:]
        ]
        producer.stop()
        installation.wait_until_committed()
        for consumer in steady:
            consumer.stop()
        revoked = [line["partitions"] for line in changes if line["event"] == "partitions revoked"]
        assert sum(map(len, revoked)) == taken == _ROUNDS * _PARTITIONS // 3
        assert not [line for line in changes if "lost" in line["event"]]
        assert installation.account().is_flawless()


@pytest.mark.slow
def test_a_static_member_that_is_restarted_disturbs_nobody(node: ApacheNode, tmp_path: Path) -> None:
    def member(number: int) -> FramebusProcess:
        return installation.consumer(
            FRAMEBUS_CONSUMER__INSTANCE_ID=f"worker-{number}",
            FRAMEBUS_KAFKA__CONSUMER_OPTIONS__SESSION_TIMEOUT_MS="30000",
        )

    with install(node, tmp_path, "exactly_once") as installation:
        restarted, *others = (member(number) for number in range(3))
        installation.until_shared(restarted, *others)
        producer = installation.producer(cameras=_CAMERAS, fps=5)
        installation.until_more_frames(restarted, *others)
        share, changes = restarted.partitions(), [consumer.group_changes() for consumer in others]

        restarted.stop()
        again = member(0)
        again.until_ready()
        installation.until_more_frames(again, *others)

        assert again.partitions() == share
        assert [consumer.group_changes() for consumer in others] == changes
        producer.stop()
        installation.wait_until_committed()
        for consumer in (again, *others):
            consumer.stop()
        assert installation.account().is_flawless()


@pytest.mark.slow
def test_a_consumer_that_freezes_loses_its_partitions_and_no_frame(node: ApacheNode, tmp_path: Path) -> None:
    with (
        install(node, tmp_path / "once", "exactly_once") as once,
        install(node, tmp_path / "again", "at_least_once") as again,
    ):
        groups = [(each, each.consumer(), each.consumer()) for each in (once, again)]
        for each, frozen, other in groups:
            each.until_shared(frozen, other)
        producers = [each.producer(cameras=_CAMERAS, fps=5) for each in (once, again)]
        for each, frozen, other in groups:
            each.until_more_frames(frozen, other)

        for _, frozen, _ in groups:
            frozen.send(signal.SIGSTOP)
        for each, _, other in groups:
            each.until_shared(other)
            each.until_more_frames(other)
        for _, frozen, _ in groups:
            frozen.send(signal.SIGCONT)

        for each, frozen, other in groups:
            frozen.until_logged("partitions lost, the group went on without this consumer")
            each.until_shared(frozen, other)
            each.until_more_frames(frozen, other)
        for producer in producers:
            producer.stop()
        for each, frozen, other in groups:
            each.wait_until_committed()
            frozen.stop()
            other.stop()
            each.assert_delivered()

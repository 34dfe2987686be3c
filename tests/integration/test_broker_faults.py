"""A broker that is away, dies, freezes or is far, under real processes; an onlooker counts every frame."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from framebus.local_broker.ports import LOOPBACK, answers
from tests.apache_node import ApacheNode
from tests.integration.conftest import FaultyBroker
from tests.integration.fencing_link import FencingLink
from tests.integration.framebus_process import FramebusProcess
from tests.integration.installation import Installation
from tests.integration.slow_link import SlowLink

# Longer than the session of a consumer, 6 s here: the group gives its partitions up, too.
_AWAY_S = 8.0
_CAMERAS = 6


@pytest.fixture
def installation(node: ApacheNode, tmp_path: Path) -> Iterator[Installation]:
    with Installation(node.bootstrap_servers, tmp_path) as installation:
        installation.create_topics()
        yield installation


def at_work(installation: Installation) -> tuple[FramebusProcess, FramebusProcess]:
    """A consumer and a producer; returns them after some frames."""
    consumer, producer = installation.consumer(), installation.producer(cameras=_CAMERAS, fps=2)
    consumer.until_ready()
    installation.until_more_frames(consumer)
    return consumer, producer


def finish(installation: Installation, *programs: FramebusProcess) -> None:
    """Ends consumers, and the producer behind them, in good order, when all frames are through."""
    *consumers, producer = programs
    producer.stop()
    installation.wait_until_committed()
    for consumer in consumers:
        consumer.stop()


@contextmanager
def away(strike: Callable[[], None], back: Callable[[], None], seconds: float = _AWAY_S) -> Iterator[None]:
    """The broker is away in this context, and for so long at least."""
    strike()
    back_s = time.monotonic() + seconds
    try:
        yield
        time.sleep(max(back_s - time.monotonic(), 0))
    finally:
        back()


def assert_noticed(broker: ApacheNode, *programs: FramebusProcess) -> None:
    """Makes sure that programs say that the broker is away, and which."""
    for program in programs:
        said = program.until_logged("no broker can be reached")
        assert said["broker"] == broker.bootstrap_servers
        assert "Connection refused" in said["error"]
        assert broker.bootstrap_servers in program.until_not_ready()
        assert program.metric("framebus_broker_up") == 0


def assert_recovered(*programs: FramebusProcess) -> None:
    """Makes sure that programs go on and say so."""
    for program in programs:
        program.until_logged("a broker is there again")
        program.until_ready()
        assert program.metric("framebus_broker_up") == 1


def assert_names_the_broker(error: str, broker: ApacheNode) -> None:
    """Makes sure that a message says which broker it is about, and what is wrong with it."""
    assert f"no broker answered at {broker.bootstrap_servers}" in error
    assert "Connection refused" in error


@pytest.mark.slow
def test_a_broker_that_stops_is_waited_for_by_those_at_work_and_those_that_start(
    node: ApacheNode, installation: Installation, tmp_path: Path
) -> None:
    with Installation(node.bootstrap_servers, tmp_path / "late") as late:
        late.create_topics()
        working = at_work(installation)

        with away(node.stop, node.start):
            waiting = late.consumer(), late.producer(cameras=_CAMERAS, fps=2)
            ending = [late.start(name, "--model", late.model) for name in ("tail", "status")]
            ending.append(late.consumer(FRAMEBUS_KAFKA__PATIENCE_S="1"))
            assert_noticed(node, *working)
            for program in ending:
                assert program.wait() == 1
                assert_names_the_broker(program.log()[-1]["event"], node)
            for program in waiting:
                assert_names_the_broker(program.until_logged("waiting for a broker")["error"], node)
                assert program.not_ready() == f"waiting for a broker at {node.bootstrap_servers}"

        assert_recovered(*working)
        waiting[0].until_ready()
        for each, (consumer, producer) in ((installation, working), (late, waiting)):
            each.until_more_frames(consumer)
            finish(each, consumer, producer)
            each.assert_delivered()


@pytest.mark.slow
def test_nothing_is_lost_when_the_broker_is_killed(node: ApacheNode, installation: Installation) -> None:
    consumer, producer = at_work(installation)

    with away(node.kill, node.start):
        assert_noticed(node, consumer, producer)

    assert_recovered(consumer, producer)
    installation.until_more_frames(consumer)
    finish(installation, consumer, producer)
    installation.assert_delivered()


@pytest.mark.slow
def test_nothing_is_lost_while_the_broker_is_frozen(node: ApacheNode, installation: Installation) -> None:
    consumer, producer = at_work(installation)

    with away(node.pause, node.resume):
        for program in (consumer, producer):
            program.until_not_ready()

    for program in (consumer, producer):
        program.until_ready()
    installation.until_more_frames(consumer)
    finish(installation, consumer, producer)
    installation.assert_delivered()
    assert len(consumer.log("partitions assigned")) == 2  # at the start, and once more


@pytest.mark.slow
def test_a_broker_that_becomes_slow_loses_nothing_and_upsets_no_group(
    faulty_broker: FaultyBroker, installation: Installation
) -> None:
    linked = {"FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:{faulty_broker.link_port}"}
    with SlowLink(faulty_broker.link_port, faulty_broker.port) as link:
        consumers = [installation.consumer(**linked) for _ in range(2)]
        installation.until_shared(*consumers)
        producer = installation.producer(cameras=_CAMERAS, fps=5, **linked)
        installation.until_more_frames(*consumers)
        changes = [consumer.group_changes() for consumer in consumers]

        link.delay_s = 0.3
        asked_s = time.monotonic()
        assert answers(faulty_broker.link_port)
        assert time.monotonic() - asked_s >= 2 * link.delay_s
        installation.until_more_frames(*consumers, each=25)

        assert [consumer.group_changes() for consumer in consumers] == changes
        link.delay_s = 0
        finish(installation, *consumers, producer)
    assert installation.account().is_flawless()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_broker_that_is_let_in_late_is_found_again(
    faulty_broker: FaultyBroker, tmp_path: Path, delivery: str
) -> None:
    linked = {
        "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:{faulty_broker.link_port}",
        "FRAMEBUS_KAFKA__OPTIONS__TOPIC_METADATA_REFRESH_INTERVAL_MS": "1000",
    }
    servers = faulty_broker.node.bootstrap_servers
    with (
        FencingLink(faulty_broker.link_port, faulty_broker.port) as link,
        Installation(servers, tmp_path, delivery=delivery) as installation,
    ):
        installation.create_topics()
        consumer = installation.consumer(**linked)
        producer = installation.producer(cameras=_CAMERAS, fps=2, **linked)
        consumer.until_ready()
        installation.until_more_frames(consumer)

        link.is_fenced = True
        # librdkafka forgets a broker when its connections end: up to a minute, and sometimes more.
        consumer.until(lambda: consumer.not_ready() is not None, "it to know no broker", timeout_s=180)
        link.is_fenced = False

        assert_recovered(consumer)
        producer.until_ready()
        installation.until_more_frames(consumer)
        finish(installation, consumer, producer)
        installation.assert_delivered()

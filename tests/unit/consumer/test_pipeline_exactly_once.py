"""Whole pipelines that publish in transactions, on the memory bus."""

import json
from collections import Counter
from collections.abc import Callable

import pytest

from framebus.bus import OutgoingRecord
from framebus.bus.memory import MemoryBus
from framebus.errors import TransactionFailedError, TransportError
from framebus.settings import Settings
from tests.engines import ScriptedEngine
from tests.pictures import jpeg
from tests.pipelines import (
    MODEL,
    Run,
    all_read,
    at_work,
    committed,
    memory_bus,
    publish,
    read,
    settings_with,
    wait_until,
)
from tests.transactions import MemoryTransactionalProducer

DETECTIONS = "detections.test-model"
QUICK = {"transaction_interval_ms": 5, "max_batch_delay_ms": 1}


@pytest.fixture
def bus() -> MemoryBus:
    return memory_bus()


def pipeline(
    bus: MemoryBus,
    settings: Settings | None = None,
    *,
    engine: ScriptedEngine | None = None,
    failing: Counter[str] | None = None,
    is_too_large: Callable[[OutgoingRecord], bool] = lambda _: False,
) -> Run:
    """A pipeline whose transactions fail where it is told to."""

    def step(name: str) -> None:
        if failing is not None and failing[name] > 0:
            failing[name] -= 1
            raise TransactionFailedError(f"{name} failed")

    producer = MemoryTransactionalProducer(bus, MODEL, step=step, is_too_large=is_too_large)
    return Run(bus, engine or ScriptedEngine(), settings or settings_with(**QUICK), producer=producer)


def positions(bus: MemoryBus, topic: str = DETECTIONS) -> list[tuple[int, int]]:
    """Partition and offset of each frame that was answered, in the order of the answers."""
    answers = (json.loads(record.value) for record in read(bus, topic, 10_000, timeout_s=0))
    return [(answer["source"]["partition"], answer["source"]["offset"]) for answer in answers]


def test_every_frame_is_answered_once_in_order_whatever_fails(bus: MemoryBus) -> None:
    for number in range(200):
        publish(bus, jpeg(), key=f"cam-{number % 5}".encode())
    failing = Counter(begin=3, publish=5, commit=7)
    with at_work(pipeline(bus, failing=failing)) as run:
        wait_until(lambda: committed(bus) == all_read(bus))

    assert run.failure is None
    assert failing.total() == 0
    found = positions(bus)
    assert sorted(found) == sorted(set(found))
    assert len(found) == 200
    for partition in {partition for partition, _ in found}:
        own = [offset for one, offset in found if one == partition]
        assert own == sorted(own)
    assert run.metric("framebus_frames_total") == 0  # of no camera without a name
    assert sum(run.metric("framebus_frames_total", camera=f"cam-{number}") for number in range(5)) == 200


def test_dead_letters_are_published_once_and_in_order_with_the_others(bus: MemoryBus) -> None:
    for number in range(40):
        publish(bus, b"no picture" if number % 4 == 3 else jpeg())
    with at_work(pipeline(bus, failing=Counter(commit=3))) as run:
        wait_until(lambda: committed(bus) == all_read(bus))

    assert run.failure is None
    dead = [int(dict(one.headers)["fb_offset"] or b"") for one in read(bus, "frames.dead", 100, timeout_s=0)]
    assert dead == [number for number in range(40) if number % 4 == 3]
    assert [offset for _, offset in positions(bus)] == [number for number in range(40) if number % 4 != 3]
    assert run.metric("framebus_dead_letters_total", camera="cam-1", reason="undecodable") == 10


def test_what_a_route_leaves_out_is_committed_with_what_it_does_not(bus: MemoryBus) -> None:
    engine = ScriptedEngine(preferred_batch_size=1)
    engine.gate.clear()
    for number in range(50):
        publish(bus, jpeg(), key=f"cam-{number % 2}".encode())
    route = {"topic": "frames", "models": [MODEL], "freshness": "latest"}
    with at_work(
        pipeline(bus, settings_with(route, **QUICK), engine=engine, failing=Counter(commit=2))
    ) as run:
        wait_until(lambda: sum(run.dropped("superseded", f"cam-{number}") for number in range(2)) >= 40)
        engine.gate.set()
        wait_until(lambda: committed(bus) == all_read(bus))

    assert run.failure is None
    found = positions(bus)
    assert (
        len(found)
        == len(set(found))
        == 50 - sum(run.dropped("superseded", f"cam-{number}") for number in range(2))
    )


def test_frames_too_old_alone_are_committed_though_nothing_is_published(bus: MemoryBus) -> None:
    for _ in range(30):
        publish(bus, jpeg())
    route = {"topic": "frames", "models": [MODEL], "max_frame_age_ms": 1}
    with at_work(pipeline(bus, settings_with(route, **QUICK))) as run:
        wait_until(lambda: committed(bus) == all_read(bus))

    assert len(positions(bus)) + run.dropped("too_old", "cam-1") == 30


def test_frames_for_another_model_are_committed_though_nothing_is_published() -> None:
    bus = memory_bus(MODEL, "other")
    for number in range(30):
        publish(bus, jpeg(), headers=(("ce_model", b"other" if number % 3 else MODEL.encode()),))
    route = {"topic": "frames", "models": [MODEL, "other"]}
    with at_work(pipeline(bus, settings_with(route, **QUICK), failing=Counter(commit=2))):
        wait_until(lambda: committed(bus) == all_read(bus))

    assert [offset for _, offset in positions(bus)] == list(range(0, 30, 3))


def test_what_the_broker_finds_too_large_becomes_a_dead_letter_that_fits(bus: MemoryBus) -> None:
    for number in range(6):
        publish(bus, jpeg() + bytes(50_000), headers=(("ce_id", b"x" * (1_000 if number == 2 else 1)),))

    def is_too_large(record: OutgoingRecord) -> bool:
        return len(record.value or b"") > (20_000 if record.topic == "frames.dead" else 1_000)

    with at_work(pipeline(bus, is_too_large=is_too_large)) as run:
        wait_until(lambda: committed(bus) == all_read(bus) or run.failure is not None)

    assert run.failure is None
    [letter] = read(bus, "frames.dead", 10, timeout_s=0)
    assert dict(letter.headers)["fb_error"] == b"too_large"
    assert letter.value == b""
    assert [offset for _, offset in positions(bus)] == [0, 1, 3, 4, 5]


def test_a_pipeline_that_is_told_to_stop_commits_all_that_is_in_flight(bus: MemoryBus) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    for _ in range(20):
        publish(bus, jpeg())
    run = pipeline(bus, engine=engine, failing=Counter(commit=2))
    run.start()
    wait_until(lambda: run.metric("framebus_in_flight_frames") == 20)
    run.stop.set()
    engine.gate.set()
    run.finish()

    assert run.failure is None
    assert committed(bus) == all_read(bus)
    assert len(positions(bus)) == 20


def test_transactions_that_fail_for_too_long_end_the_pipeline_with_nothing_half_done(bus: MemoryBus) -> None:
    for _ in range(5):
        publish(bus, jpeg())
    settings = settings_with(**QUICK)
    settings = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"patience_s": 0.5})})
    run = pipeline(bus, settings, failing=Counter(commit=10**9))
    run.start()
    run.thread.join(20)

    assert isinstance(run.failure, TransportError)
    assert positions(bus) == []
    assert set(committed(bus).values()) == {0}

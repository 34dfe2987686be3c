"""Frames that kill their process; processes come one after the other on the same bus."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from framebus.bus import Committed, OutgoingRecord, Partition
from framebus.bus.memory import MemoryBus, MemoryConsumer
from framebus.errors import TransportError
from framebus.frames import Image
from framebus.images import encode_jpeg
from framebus.settings import Settings
from tests.doomed import Killed, Process
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

FRAME = jpeg()
# As large as the others, so that it may share a batch with them.
KILLER = encode_jpeg(np.zeros((48, 64, 3), np.uint8))
QUICK: dict[str, object] = {"transaction_interval_ms": 5, "max_batch_delay_ms": 1, "max_in_flight_frames": 16}
AT_LEAST_ONCE, EXACTLY_ONCE = "at_least_once", "exactly_once"


def kills(image: Image) -> bool:
    return int(image.max()) < 8


@pytest.fixture
def bus() -> MemoryBus:
    return memory_bus()


@pytest.fixture(params=[AT_LEAST_ONCE, EXACTLY_ONCE])
def delivery(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def settings(**consumer: object) -> Settings:
    return settings_with(**{**QUICK, **consumer})


def publish_all(bus: MemoryBus, values: Sequence[bytes], *, key: bytes = b"cam-1") -> Partition:
    """Publishes frames of one camera; returns their partition."""
    deliveries = [publish(bus, value, key=key) for value in values]
    assert deliveries[0].partition is not None
    return deliveries[0].partition


def live_and_die(bus: MemoryBus, delivery: str, **consumer: object) -> None:
    """A process that meets a killer."""
    run = Process(bus, delivery).run(settings(**consumer), kills=kills)
    run.start()
    run.thread.join(20)
    assert isinstance(run.failure, Killed), run.failure


def die_twice(bus: MemoryBus, delivery: str, **consumer: object) -> None:
    """Two processes that meet a killer in their first batch, before anything is finished."""
    for _ in range(2):
        live_and_die(bus, delivery, **{"max_batch_delay_ms": 250, **consumer})


def live_on(bus: MemoryBus, delivery: str, **consumer: object) -> Run:
    """A process that finishes all frames, and stops."""
    with at_work(Process(bus, delivery).run(settings(**consumer), kills=kills)) as run:
        wait_until(lambda: committed(bus) == all_read(bus) or run.failure is not None)
    assert run.failure is None, run.failure
    return run


def note(bus: MemoryBus, partition: Partition) -> Committed:
    stored = bus.committed(MODEL, partition)
    assert stored is not None
    return stored


def answers(bus: MemoryBus) -> list[int]:
    """The offsets of the frames that were answered."""
    records = read(bus, "detections.test-model", 10_000, timeout_s=0)
    return [json.loads(record.value)["source"]["offset"] for record in records]


def dead(bus: MemoryBus) -> list[int]:
    """The offsets of the frames that killed processes."""
    letters = [dict(record.headers) for record in read(bus, "frames.dead", 10_000, timeout_s=0)]
    assert {letter["fb_error"] for letter in letters} <= {b"process_killed"}
    return [int(letter["fb_offset"] or b"") for letter in letters]


@pytest.mark.parametrize("killer", [0, 3])
def test_after_three_deaths_it_is_a_dead_letter_and_all_others_are_answered(
    bus: MemoryBus, delivery: str, killer: int
) -> None:
    publish_all(bus, [KILLER if number == killer else FRAME for number in range(20)])
    die_twice(bus, delivery)
    live_and_die(bus, delivery)
    live_on(bus, delivery)

    assert dead(bus) == [killer]
    others = [offset for offset in range(20) if offset != killer]
    assert (answers(bus) if delivery == EXACTLY_ONCE else sorted(set(answers(bus)))) == others


def test_the_next_killer_costs_one_more_death(bus: MemoryBus, delivery: str) -> None:
    publish_all(bus, [KILLER if number in (4, 6) else FRAME for number in range(12)])
    die_twice(bus, delivery)
    live_and_die(bus, delivery)
    live_and_die(bus, delivery)
    live_on(bus, delivery)

    assert dead(bus) == [4, 6]


def test_behind_what_was_begun_frames_run_together_again(bus: MemoryBus, delivery: str) -> None:
    publish_all(bus, [KILLER, *[FRAME] * 24])
    for _ in range(3):
        live_and_die(bus, delivery, max_in_flight_frames=2)
    run = live_on(bus, delivery, max_in_flight_frames=2, max_batch_delay_ms=20)

    assert run.metric("framebus_batch_size_frames_sum") == 24
    assert run.metric("framebus_batch_size_frames_count") < 24


def test_a_partition_read_to_its_end_is_no_suspect_any_more(bus: MemoryBus, delivery: str) -> None:
    partition = publish_all(bus, [FRAME])
    bus.commit(MODEL, {partition: 0}, "attempt 2")
    engine = ScriptedEngine()
    with at_work(Process(bus, delivery).run(settings(max_batch_delay_ms=20), engine=engine)):
        wait_until(lambda: committed(bus) == all_read(bus))
        publish_all(bus, [FRAME] * 20, key=b"cam-2")
        wait_until(lambda: committed(bus) == all_read(bus))

    assert sum(engine.calls) == 21
    assert len(engine.calls) < 21


def test_a_suspect_that_takes_long_runs_alone_to_its_end(
    bus: MemoryBus, delivery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.suspects._PATIENCE_S", 0.05)
    partition = publish_all(bus, [FRAME] * 10)
    bus.commit(MODEL, {partition: 0}, "attempt 2")
    engine = ScriptedEngine()
    engine.gate.clear()
    with at_work(Process(bus, delivery).run(settings(), engine=engine)) as run:
        wait_until(lambda: run.metric("framebus_in_flight_frames") == 1)
        for _ in range(3):
            run.stop.wait(0.1)  # longer than the patience with a partition that brings nothing
            assert run.metric("framebus_in_flight_frames") == 1
        assert note(bus, partition) == Committed(0, "alone")
        engine.gate.set()
        wait_until(lambda: committed(bus) == all_read(bus))


def test_a_frame_that_ran_alone_before_the_killer_of_another_partition_is_innocent(
    bus: MemoryBus, delivery: str
) -> None:
    innocent = publish_all(bus, [FRAME], key=b"cam-1")
    killer = publish_all(bus, [KILLER], key=b"cam-2")
    assert innocent != killer
    bus.commit(MODEL, {innocent: 0, killer: 0}, "attempt 2")
    # Nothing but what the notes bring along is committed while it lives.
    live_and_die(bus, delivery, commit_interval_ms=60_000)
    live_on(bus, delivery)

    assert len(answers(bus)) == len(dead(bus)) == 1


def test_the_last_frame_that_ran_alone_is_innocent_of_what_comes_behind_it(
    bus: MemoryBus, delivery: str
) -> None:
    partition = publish_all(bus, [FRAME] * 4 + [KILLER])
    bus.commit(MODEL, {partition: 0}, "attempt 2")
    live_and_die(bus, delivery, max_in_flight_frames=1, commit_interval_ms=60_000)

    assert note(bus, partition) == Committed(note(bus, partition).offset)
    for _ in range(3):
        live_and_die(bus, delivery)
    live_on(bus, delivery)
    assert dead(bus) == [4]


def test_a_killer_that_is_for_another_model_is_left_to_it(delivery: str) -> None:
    bus = memory_bus("model-a", "model-b")
    both = settings_with({"topic": "frames", "models": ["model-a", "model-b"]}, **QUICK)
    delivered = [
        bus.append(OutgoingRecord("frames", b"cam-1", FRAME, (("ce_model", model),)))
        for model in (b"model-b", b"model-a", b"model-b", b"model-a")
    ]
    partition = delivered[0].partition
    assert partition is not None
    bus.commit("model-a", {partition: 0}, "alone")  # model-b's frame: another program wrote that there
    with at_work(Process(bus, delivery).run(both, model="model-a")):
        wait_until(lambda: bus.committed("model-a", partition) == Committed(4))

    assert len(read(bus, "detections.model-a", 10, timeout_s=0)) == 2
    assert dead(bus) == []


def test_processes_that_end_well_leave_no_suspicion(bus: MemoryBus, delivery: str) -> None:
    for count in range(1, 5):
        partition = publish_all(bus, [FRAME])
        live_on(bus, delivery)
        assert note(bus, partition) == Committed(count)

    assert dead(bus) == []


@pytest.mark.parametrize("words", ["attempt", "attempt many", "attempt -1", "by another program", "alone 7"])
def test_notes_in_other_words_mean_nothing(bus: MemoryBus, delivery: str, words: str) -> None:
    partition = publish_all(bus, [FRAME] * 3)
    bus.commit(MODEL, {partition: 0}, words)
    live_on(bus, delivery)

    assert answers(bus) == [0, 1, 2]


def test_frames_run_when_notes_cannot_be_read(bus: MemoryBus) -> None:
    class Unreadable(MemoryConsumer):
        is_reading = True

        def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Committed]:
            if self.is_reading:  # the first to ask is the bus itself
                self.is_reading = False
                return super().committed(partitions)
            raise TransportError("no answer")

    publish_all(bus, [FRAME] * 3)
    with at_work(Run(bus, ScriptedEngine(), settings(), consumer=Unreadable(bus, MODEL))):
        wait_until(lambda: committed(bus) == all_read(bus))

    assert answers(bus) == [0, 1, 2]


def test_a_killer_of_one_model_condemns_no_frame_of_another_in_its_process(delivery: str) -> None:
    models = ("model-a", "model-b")
    bus = memory_bus(*models)
    partition = publish_all(bus, [FRAME] * 3 + [KILLER] + [FRAME] * 16)
    both = settings_with({"topic": "frames", "models": list(models)}, **QUICK)
    for model in models:
        bus.commit(model, {partition: 0}, "attempt 2")  # both ended with the killer, twice

    killed = Process(bus, delivery)
    doomed = [killed.run(both, model="model-a", kills=kills), killed.run(both, model="model-b")]
    for run in doomed:
        run.start()
    for run in doomed:
        run.thread.join(30)
    healed = Process(bus, delivery)
    with at_work(healed.run(both, model="model-a")), at_work(healed.run(both, model="model-b")):
        wait_until(lambda: all(bus.committed(model, partition) == Committed(20) for model in models))

    condemned = [dict(letter.headers) for letter in read(bus, "frames.dead", 2, timeout_s=0)]
    assert [(one["fb_model"], one["fb_offset"]) for one in condemned] == [(b"model-a", b"3")]

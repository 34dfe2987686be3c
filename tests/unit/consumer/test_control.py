import time
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from framebus.bus import OutgoingRecord, TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.control import (
    LoadCommand,
    Overrides,
)
from tests.controlled_worker import COMMANDS, WORKERS, ControlledWorker, at_work, load, override
from tests.obedient_models import ObedientModels
from tests.pipelines import wait_until


def test_the_topics_of_control_are_made_where_they_are_missing(obedient: ObedientModels) -> None:
    worker = ControlledWorker(obedient)
    worker.catch_up()

    assert worker.bus.partition_counts() == {COMMANDS: 1, WORKERS: 1}
    assert len(worker.models.wanted) == 1
    assert worker.models.wanted[0].loads == {}


def test_all_commands_are_read_before_anything_is_wanted(obedient: ObedientModels) -> None:
    worker = ControlledWorker(obedient)
    worker.command(
        *(load(f"m{number % 300}", generation=number) for number in range(1_700)),
        load("m0", loaded=False, generation=1_700),
        override("m1", confidence=70),
    )
    worker.catch_up()

    [wanted] = worker.models.wanted
    assert len(wanted.loads) == 300
    assert wanted.load("m0") == LoadCommand(loaded=False, generation=1_700)
    assert wanted.load("m299") == LoadCommand(loaded=True, generation=1_499)
    assert wanted.overrides == {"m1": Overrides(confidence=70)}


def test_what_comes_later_is_followed(obedient: ObedientModels) -> None:
    obedient.add("ssd")
    worker = ControlledWorker(obedient)
    worker.command(override("ssd", confidence=70))
    with at_work(worker, with_models=True):
        worker.command(load("ssd"))
        wait_until(lambda: any(model.state == "loaded" for model in worker.models.statuses()))
        worker.command(override("ssd", predictions=3))
        wait_until(lambda: worker.models.statuses()[0].overridden == ("predictions",))

        worker.command(load("ssd", loaded=False))
        wait_until(lambda: worker.models.statuses() == ())
    worker.models.close()


def test_a_beat_tells_all_that_there_is_to_tell(obedient: ObedientModels) -> None:
    obedient.add("ssd")
    worker = ControlledWorker(obedient, waiting=3)
    worker.metrics.rates.answered("cam-1", "ssd", 0.05)
    worker.command(load("ssd"))
    with at_work(worker, with_models=True):
        wait_until(lambda: any(model.state == "loaded" for beat in worker.beats() for model in beat.models))
        beat = worker.until_beats(2)[-1]
    worker.models.close()

    assert beat.address == "http://127.0.0.1:9101"
    assert (beat.is_ready, beat.waiting_predictions) == (True, 3)
    assert [(model.name, model.state, model.device) for model in beat.models] == [("ssd", "loaded", "CPU")]
    assert [(camera.camera, camera.model) for camera in beat.cameras] == [("cam-1", "ssd")]
    assert time.time() - 100 < beat.started_at.timestamp() <= time.time()
    assert {one.worker for one in worker.beats()} == {beat.worker}
    assert {record.key for record in worker.said()} == {beat.worker.encode()}


def test_every_start_makes_another_worker(obedient: ObedientModels) -> None:
    bus = MemoryBus()
    for _ in range(2):
        with at_work(ControlledWorker(obedient, bus)) as worker:
            worker.until_beats(1)

    assert len({beat.worker for beat in worker.beats()}) == 2


def test_the_last_word_is_a_tombstone(obedient: ObedientModels) -> None:
    with at_work(ControlledWorker(obedient)) as worker:
        beat = worker.until_beats(1)[0]

    *before, last = worker.said()
    assert (last.key, last.value) == (beat.worker.encode(), b"")
    assert all(record.value for record in before)


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_change_is_told_at_once_and_not_with_the_next_beat(
    obedient: ObedientModels, is_ready: bool
) -> None:
    obedient.add("ssd")
    worker = ControlledWorker(obedient, beat_interval_s=60, is_ready=is_ready)
    with at_work(worker, with_models=True):
        wait_until(lambda: len(worker.beats()) == 1)
        worker.is_ready = not is_ready
        wait_until(lambda: worker.beats()[-1].is_ready is not is_ready)
        worker.command(load("ssd", generation=7))
        wait_until(lambda: any(model.generation == 7 for model in worker.beats()[-1].models))
        told = len(worker.beats())
    worker.models.close()

    assert told <= 10, "and nothing is told when nothing has changed"


def test_records_that_nobody_wrote_are_passed_over(obedient: ObedientModels) -> None:
    worker = ControlledWorker(obedient)
    worker.command(
        OutgoingRecord(COMMANDS, None, b"no key"),
        OutgoingRecord(COMMANDS, b"../loaded", b'{"loaded": true}'),
        load("a"),
        OutgoingRecord(COMMANDS, b"a/loaded", b"{"),
    )
    with capture_logs() as lines, at_work(worker):
        assert worker.models.wanted[0].loads == {"a": LoadCommand(loaded=True)}
        worker.command(OutgoingRecord(COMMANDS, b"b/loaded", b"\xff"), load("c"))
        wait_until(lambda: "c" in worker.models.wanted[-1].loads)

    assert set(worker.models.wanted[-1].loads) == {"a", "c"}
    passed_over = [line["error"] for line in lines if "passed over" in line["event"]]
    assert [error.split(":")[0] for error in passed_over] == [
        f"record {COMMANDS}/0/{offset}" for offset in (0, 1, 3, 4)
    ]


def test_a_worker_whose_streams_are_stuck_says_nothing_until_they_get_on(obedient: ObedientModels) -> None:
    with at_work(ControlledWorker(obedient)) as worker:
        worker.until_beats(2)
        with capture_logs() as lines:
            worker.stuck = "a poll loop hangs for 12 s"
            # One beat may be on its way already.
            wait_until(lambda: sum(line["event"] == "no beat" for line in lines) >= 2)
            told = len(worker.beats())
            wait_until(lambda: sum(line["event"] == "no beat" for line in lines) >= 4)
            assert len(worker.beats()) == told
        worker.stuck = None
        worker.until_beats(2)

    assert {line["reason"] for line in lines if line["event"] == "no beat"} == {"a poll loop hangs for 12 s"}


def test_a_config_that_is_edited_is_in_force_soon(obedient: ObedientModels) -> None:
    obedient.add("ssd")
    worker = ControlledWorker(obedient)
    worker.command(load("ssd"))
    with at_work(worker, with_models=True):
        wait_until(lambda: any(model.state == "loaded" for beat in worker.beats() for model in beat.models))
        obedient.write_config("ssd", confidence=95)

        wait_until(lambda: (worker.beats()[-1].models[0].config or {}).get("confidence") == 95)
    worker.models.close()


def test_topics_that_are_there_are_left_as_they_are(obedient: ObedientModels) -> None:
    bus = MemoryBus()
    specs: Sequence[TopicSpec] = [TopicSpec(COMMANDS, 3, 1, {}), TopicSpec(WORKERS, 1, 1, {})]
    bus.create_topics(specs)
    worker = ControlledWorker(obedient, bus)
    worker.command(load("a"), load("b"), load("c"), load("d"))
    worker.catch_up()

    assert bus.partition_counts()[COMMANDS] == 3
    assert set(worker.models.wanted[0].loads) == {"a", "b", "c", "d"}, "all partitions are read"

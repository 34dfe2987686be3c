"""What a pipeline leaves out where freshness counts, and that it leaves out nothing elsewhere."""

import json
import statistics
import threading
from collections import Counter

import pytest

from framebus.bus.memory import MemoryBus
from tests.engines import ScriptedEngine
from tests.pictures import jpeg
from tests.pipelines import (
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

DETECTIONS = "detections.test-model"
LATEST = {"topic": "frames", "models": ["test-model"], "freshness": "latest"}


def closed_engine() -> ScriptedEngine:
    """Takes one picture at a time, and none before its gate opens; so two are decoded ahead."""
    engine = ScriptedEngine(preferred_batch_size=1)
    engine.gate.clear()
    return engine


def publish_numbered(bus: MemoryBus, camera: str, numbers: range, *, topic: str = "frames") -> None:
    for number in numbers:
        headers = (("ce_id", f"{camera}-{number}".encode()),)
        publish(bus, jpeg(32, 32), topic=topic, key=camera.encode(), headers=headers)


def test_a_newer_frame_takes_the_place_of_its_cameras_older_one_and_every_drop_is_counted() -> None:
    bus, engine = memory_bus(), closed_engine()
    for camera in ("first", "second"):  # these are decoded, and cannot be replaced any more
        publish_numbered(bus, camera, range(1))
    with at_work(Run(bus, engine, settings_with(LATEST))) as run:
        wait_until(lambda: run.metric("framebus_in_flight_bytes", form="decoded") == 2 * 32 * 32 * 3)
        publish_numbered(bus, "quiet", range(1))
        publish_numbered(bus, "busy", range(100))
        wait_until(lambda: run.dropped("superseded", "busy") == 99)
        engine.gate.set()
        messages = [json.loads(record.value) for record in read(bus, DETECTIONS, 4)]

    assert sorted(message["id"] for message in messages) == ["busy-99", "first-0", "quiet-0", "second-0"]
    assert run.dropped("superseded", "quiet") == 0
    assert committed(bus) == all_read(bus)


def test_everything_is_read_as_it_comes_however_slow_the_engine_is() -> None:
    bus, engine = memory_bus(), closed_engine()
    for camera in range(20):
        publish_numbered(bus, f"cam-{camera}", range(50))

    with at_work(Run(bus, engine, settings_with(LATEST, max_in_flight_frames=4))) as run:
        # One waits of each camera; two are decoded, one is at the decoder.
        wait_until(lambda: sum(run.dropped("superseded", f"cam-{n}") for n in range(20)) >= 1000 - 20 - 3)
        engine.gate.set()

    answered = Counter(json.loads(record.value)["sensorId"] for record in read(bus, DETECTIONS, 1000, 0.1))
    for camera in range(20):
        assert answered[f"cam-{camera}"] >= 1
        assert answered[f"cam-{camera}"] + run.dropped("superseded", f"cam-{camera}") == 50
    assert committed(bus) == all_read(bus)


def test_the_newest_frame_of_each_camera_is_always_answered_in_order() -> None:
    bus = memory_bus()
    engine = ScriptedEngine(preferred_batch_size=4, concurrency=2, delay_s=0.02)
    with at_work(Run(bus, engine, settings_with(LATEST))) as run:
        for number in range(60):
            for camera in ("a", "b", "c"):
                publish_numbered(bus, camera, range(number, number + 1))
            threading.Event().wait(0.005)
        wait_until(lambda: run.metric("framebus_in_flight_frames") == 0 and committed(bus) == all_read(bus))

    ids = [json.loads(record.value)["id"] for record in read(bus, DETECTIONS, 180, 0.1)]
    for camera in ("a", "b", "c"):
        numbers = [int(name.partition("-")[2]) for name in ids if name.startswith(camera)]
        assert numbers == sorted(numbers)
        assert numbers[-1] == 59
        assert len(numbers) + run.dropped("superseded", camera) == 60


def test_frames_older_than_the_route_allows_are_left_out() -> None:
    bus = memory_bus()
    publish_numbered(bus, "cam-1", range(5))
    threading.Event().wait(0.6)
    route = {"topic": "frames", "models": ["test-model"], "max_frame_age_ms": 500}
    with at_work(Run(bus, ScriptedEngine(), settings_with(route))) as run:
        wait_until(lambda: run.dropped("too_old", "cam-1") == 5)
        publish_numbered(bus, "cam-1", range(5, 6))
        [record] = read(bus, DETECTIONS, 1)

    assert json.loads(record.value)["id"] == "cam-1-5"
    assert committed(bus) == all_read(bus)


def test_with_more_cameras_than_memory_the_oldest_waiting_frames_go() -> None:
    bus, engine = memory_bus(), closed_engine()
    picture = jpeg(32, 32) + bytes(100_000)
    for camera in range(30):
        publish(bus, picture, key=f"cam-{camera:02}".encode())

    with at_work(Run(bus, engine, settings_with(LATEST, max_in_flight_bytes=2**20))) as run:

        def dropped() -> float:
            return sum(run.dropped("no_room", f"cam-{camera:02}") for camera in range(30))

        wait_until(lambda: run.metric("framebus_in_flight_frames") + dropped() == 30)
        assert run.metric("framebus_in_flight_bytes", form="encoded") <= 2**20 + 110_000
        engine.gate.set()

    assert dropped() >= 19
    assert len(read(bus, DETECTIONS, 30, 0.1)) + dropped() == 30
    assert committed(bus) == all_read(bus)


def test_a_frame_that_is_larger_than_the_memory_allowed_is_answered_all_the_same() -> None:
    bus = memory_bus()
    with at_work(Run(bus, ScriptedEngine(), settings_with(LATEST, max_in_flight_bytes=2**20))) as run:
        for number in range(3):
            publish(bus, jpeg(32, 32) + bytes(2**21))
            assert len(read(bus, DETECTIONS, number + 1)) == number + 1

    assert run.dropped("no_room", "cam-1") == 0


@pytest.mark.parametrize("call_s", [0.0, 0.14])
def test_an_engine_that_likes_batches_gets_them_where_only_the_latest_counts(call_s: float) -> None:
    bus, engine = memory_bus(), ScriptedEngine(delay_s=call_s)
    with at_work(Run(bus, engine, settings_with(LATEST))):
        for number in range(150):
            for camera in range(16):
                publish_numbered(bus, f"cam-{camera}", range(number, number + 1))
            threading.Event().wait(0.01)

    assert statistics.mean(engine.calls) > 6


def test_several_threads_decode() -> None:
    bus = memory_bus()
    with at_work(Run(bus, ScriptedEngine(), settings_with(LATEST, decode_threads=3))) as run:
        for number in range(50):
            publish_numbered(bus, "cam-1", range(number, number + 1))
        wait_until(lambda: committed(bus) == all_read(bus))

    numbers = [int(json.loads(record.value)["id"][6:]) for record in read(bus, DETECTIONS, 50, 0.1)]
    assert numbers == sorted(numbers)
    assert len(numbers) + run.dropped("superseded", "cam-1") == 50


def test_a_topic_where_every_frame_counts_is_not_held_up_by_one_where_only_the_latest_does() -> None:
    bus, engine = memory_bus(frames=("frames", "live")), closed_engine()
    publish_numbered(bus, "all", range(40))
    settings = settings_with(
        {"topic": "frames", "models": ["test-model"]},
        {"topic": "live", "models": ["test-model"], "freshness": "latest"},
        max_in_flight_frames=8,
    )
    with at_work(Run(bus, engine, settings)) as run:
        wait_until(lambda: run.metric("framebus_in_flight_frames") >= 8)
        publish_numbered(bus, "live", range(100), topic="live")
        wait_until(lambda: run.dropped("superseded", "live") == 99)
        engine.gate.set()
        ids = [json.loads(record.value)["id"] for record in read(bus, DETECTIONS, 41)]

    assert [name for name in ids if name.startswith("all")] == [f"all-{number}" for number in range(40)]
    assert ids.index("live-99") < 20
    assert run.dropped("superseded", "all") == 0

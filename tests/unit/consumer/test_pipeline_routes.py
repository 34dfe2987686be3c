"""Several models on one bus: each is fed what its routes say, and none waits for another."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from framebus.bus import Headers, Record
from framebus.bus.memory import MemoryBus, MemoryConsumer
from framebus.errors import TopicMissingError
from framebus.settings import Settings
from framebus.topics import topic_specs
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

BOTH = {"topic": "frames", "models": ["a", "b"]}


def ids(bus: MemoryBus, topic: str, count: int) -> list[str]:
    return [json.loads(record.value)["id"] for record in read(bus, topic, count)]


def both_at_work(
    stack: ExitStack, bus: MemoryBus, settings: Settings, **engines: ScriptedEngine
) -> list[Run]:
    return [
        stack.enter_context(at_work(Run(bus, engines.get(model, ScriptedEngine()), settings, model=model)))
        for model in ("a", "b")
    ]


def test_every_model_of_a_route_answers_every_frame() -> None:
    bus = memory_bus("a", "b")
    for number in range(20):
        publish(bus, jpeg(), headers=(("ce_id", f"{number:02}".encode()),))

    with ExitStack() as stack:
        both_at_work(stack, bus, settings_with(BOTH))
        expected = [f"{number:02}" for number in range(20)]
        assert ids(bus, "detections.a", 20) == expected
        assert ids(bus, "detections.b", 20) == expected

    assert committed(bus, "a") == committed(bus, "b") == all_read(bus)


def test_a_model_that_hangs_holds_up_no_other_and_loses_nothing() -> None:
    bus, slow = memory_bus("a", "b"), ScriptedEngine()
    slow.gate.clear()
    for number in range(200):
        publish(bus, jpeg(32, 32), headers=(("ce_id", f"{number:03}".encode()),))
    expected = [f"{number:03}" for number in range(200)]

    with ExitStack() as stack:
        fast_run, slow_run = both_at_work(stack, bus, settings_with(BOTH, max_in_flight_frames=16), b=slow)
        assert ids(bus, "detections.a", 200) == expected
        wait_until(lambda: committed(bus, "a") == all_read(bus))
        assert slow_run.metric("framebus_in_flight_frames") == 16
        assert set(committed(bus, "b").values()) == {0}
        slow.gate.set()
        assert ids(bus, "detections.b", 200) == expected

    assert committed(bus, "b") == all_read(bus)
    assert fast_run.failure is slow_run.failure is None


def test_a_frame_that_names_a_model_goes_to_it_alone() -> None:
    bus = memory_bus("a", "b")
    named: list[tuple[str, Headers]] = [
        ("for-all", ()),
        ("for-a", (("ce_model", b"a"),)),
        ("for-b", (("ce_model", b"b"),)),
        ("for-nobody", (("ce_model", b"c"),)),
        ("for-all-too", (("ce_model", b""),)),
    ]
    for name, headers in named:
        publish(bus, jpeg(), headers=(("ce_id", name.encode()), *headers))

    with ExitStack() as stack:
        both_at_work(stack, bus, settings_with(BOTH))
        assert ids(bus, "detections.a", 3) == ["for-all", "for-a", "for-all-too"]
        assert ids(bus, "detections.b", 3) == ["for-all", "for-b", "for-all-too"]
        [dead] = read(bus, "frames.dead", 1)

    assert dict(dead.headers)["ce_id"] == b"for-nobody"
    assert dict(dead.headers)["fb_error"] == b"unknown_model"
    assert len(read(bus, "frames.dead", 2, 0.1)) == 1
    assert committed(bus, "a") == committed(bus, "b") == all_read(bus)


def test_where_only_the_latest_counts_a_frame_for_another_model_replaces_nothing() -> None:
    bus, engine = memory_bus("a", "b"), ScriptedEngine(preferred_batch_size=1)
    engine.gate.clear()
    publish_for(bus, b"a", range(4))

    with at_work(Run(bus, engine, settings_with({**BOTH, "freshness": "latest"}), model="a")) as run:

        def seen() -> float:
            return run.metric("framebus_in_flight_frames") + run.dropped("superseded", "cam-1")

        wait_until(lambda: seen() == 4)
        publish_for(bus, b"b", range(4, 10))
        publish(bus, jpeg(), key=b"cam-2")
        wait_until(lambda: seen() == 5)
        engine.gate.set()
        wait_until(lambda: committed(bus, "a") == all_read(bus))

    answered = [json.loads(record.value)["id"] for record in read(bus, "detections.a", 5, 0.1)]
    assert "3" in answered
    assert len(answered) + run.dropped("superseded", "cam-1") == 5


def publish_for(bus: MemoryBus, model: bytes, numbers: range) -> None:
    for number in numbers:
        publish(bus, jpeg(), headers=(("ce_id", f"{number}".encode()), ("ce_model", model)))


def test_a_topic_that_appears_is_read_from_its_start() -> None:
    bus = memory_bus("a")
    settings = settings_with({"topic": "^yard.*", "models": ["a"]})
    with at_work(Run(bus, ScriptedEngine(), settings, model="a")) as run:
        assert run.pipeline.not_ready == "no topic matches its routes yet"
        for topic in ("yard-1", "yard-2"):
            bus.create_topics(topic_specs(settings.topics, frames=[topic]))
            publish(bus, jpeg(), topic=topic)
        run.pipeline.follow(["yard-1"])
        read(bus, "detections.a", 1)
        run.pipeline.follow(["yard-1", "yard-2"])
        messages = [json.loads(record.value) for record in read(bus, "detections.a", 2)]

    assert [message["source"]["topic"] for message in messages] == ["yard-1", "yard-2"]


class VanishedTopicConsumer(MemoryConsumer):
    """A bus on which a topic vanishes: it says so until it is not asked for that topic any more."""

    def __init__(self, bus: MemoryBus, group_id: str, vanished: str) -> None:
        super().__init__(bus, group_id)
        self._vanished = vanished
        self._topics: Sequence[str] = ()

    def subscribe(self, topics: Sequence[str], **callbacks: Any) -> None:
        self._topics = topics
        super().subscribe(topics, **callbacks)

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        if self._vanished in self._topics:
            raise TopicMissingError(self._vanished)
        return super().poll(max_records, timeout_s)


def test_a_topic_that_a_regular_expression_had_found_may_vanish() -> None:
    bus = memory_bus("a", frames=("yard-1", "yard-2"))
    publish(bus, jpeg(), topic="yard-1")
    settings = settings_with({"topic": "^yard.*", "models": ["a"]})
    consumer = VanishedTopicConsumer(bus, "a", "yard-2")
    with at_work(Run(bus, ScriptedEngine(), settings, model="a", consumer=consumer)) as run:
        run.pipeline.follow(["yard-1", "yard-2"])
        [record] = read(bus, "detections.a", 1)

    assert json.loads(record.value)["source"]["topic"] == "yard-1"
    assert run.failure is None


def test_a_topic_that_a_route_names_may_not() -> None:
    bus = memory_bus("a")
    consumer = VanishedTopicConsumer(bus, "a", "frames")
    settings = settings_with({"topic": "frames", "models": ["a"]})
    with at_work(Run(bus, ScriptedEngine(), settings, model="a", consumer=consumer)) as run:
        wait_until(lambda: run.failure is not None)

    assert "topic frames does not exist" in str(run.failure)

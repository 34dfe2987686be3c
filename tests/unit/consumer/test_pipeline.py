import json
import threading
from collections.abc import Callable
from uuid import UUID

import pytest

from framebus.bus import Delivery, DeliveryCallback, Headers, OutgoingRecord
from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.errors import FrameTooLargeError, TransportError
from tests.engines import ScriptedEngine
from tests.pictures import jpeg
from tests.pipelines import (
    Run,
    all_read,
    committed,
    memory_bus,
    publish,
    read,
    running,
    settings_with,
    wait_until,
)

DETECTIONS = "detections.test-model"


@pytest.fixture
def bus() -> MemoryBus:
    return memory_bus()


def test_every_frame_gets_one_detection_message_in_camera_order(bus: MemoryBus) -> None:
    for number in range(60):
        camera = f"cam-{number % 5}".encode()
        publish(bus, jpeg(), key=camera, headers=(("ce_id", f"{number:04}".encode()),))

    with running(bus) as run:
        messages = [json.loads(record.value) for record in read(bus, DETECTIONS, 60)]

    assert sorted(message["id"] for message in messages) == [f"{number:04}" for number in range(60)]
    for camera_number in range(5):
        ids = [message["id"] for message in messages if message["sensorId"] == f"cam-{camera_number}"]
        assert ids == sorted(ids)
    assert committed(bus) == all_read(bus)
    assert run.metric("framebus_frames_total", camera="cam-0") == 12
    assert run.metric("framebus_detections_total", camera="cam-0") == 12


def test_a_bare_picture_with_only_a_key_is_detected(bus: MemoryBus) -> None:
    delivery = publish(bus, jpeg(64, 48), key=b"cam-9")
    assert delivery.partition is not None

    with running(bus):
        [record] = read(bus, DETECTIONS, 1)

    message = json.loads(record.value)
    assert record.key == b"cam-9"
    assert message["sensorId"] == "cam-9"
    assert message["image"] == {"width": 64, "height": 48}
    assert message["source"] == {"topic": "frames", "partition": delivery.partition.number, "offset": 0}
    assert message["objects"] == [
        {
            "type": "person",
            "classId": 1,
            "confidence": pytest.approx(0.9),
            "bbox": {"leftX": 0, "topY": 0, "rightX": 64, "bottomY": 48},
        }
    ]


def test_one_corrupt_frame_among_eight_is_one_dead_letter_and_seven_results(bus: MemoryBus) -> None:
    for number in range(8):
        value = jpeg()[:200] if number == 3 else jpeg()
        publish(bus, value, headers=(("ce_id", str(number).encode()), ("extra", b"kept")))

    with running(bus, max_batch_delay_ms=500) as run:
        messages = [json.loads(record.value) for record in read(bus, DETECTIONS, 7)]
        [dead] = read(bus, "frames.dead", 1)

    assert [message["id"] for message in messages] == ["0", "1", "2", "4", "5", "6", "7"]
    headers = dict(dead.headers)
    assert dead.value == jpeg()[:200]
    assert dead.key == b"cam-1"
    assert headers["extra"] == b"kept"
    assert headers["fb_error"] == b"undecodable"
    assert headers["fb_offset"] == b"3"
    assert committed(bus) == all_read(bus)
    assert run.metric("framebus_dead_letters_total", camera="cam-1", reason="undecodable") == 1


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        ((("ce_model", b"another"),), jpeg(), b"unknown_model"),
        ((("ce_time", b"yesterday"),), jpeg(), b"invalid_header"),
        ((), jpeg(400, 400), b"too_large"),
        ((), b"", b"undecodable"),
        ((), b"no picture", b"undecodable"),
    ],
)
def test_a_frame_that_cannot_be_processed_is_dead_lettered_with_its_reason(
    bus: MemoryBus, headers: Headers, value: bytes, reason: bytes
) -> None:
    publish(bus, value, headers=headers)

    with running(bus, max_frame_pixels=100_000):
        [dead] = read(bus, "frames.dead", 1)

    assert dict(dead.headers)["fb_error"] == reason
    assert dead.value == value
    assert committed(bus) == all_read(bus)


def test_a_picture_that_breaks_its_batch_is_retried_alone_and_only_it_dies(bus: MemoryBus) -> None:
    black = jpeg(32, 32, seed=7)
    for number in range(8):
        publish(bus, black if number == 5 else jpeg(32, 32), headers=(("ce_id", str(number).encode()),))
    poisonous = ScriptedEngine(poison=lambda image: abs(int(image.sum()) - decoded_sum(black)) < 1)

    with running(bus, poisonous, max_batch_delay_ms=500):
        messages = [json.loads(record.value) for record in read(bus, DETECTIONS, 7)]
        [dead] = read(bus, "frames.dead", 1)

    assert [message["id"] for message in messages] == ["0", "1", "2", "3", "4", "6", "7"]
    assert dict(dead.headers)["fb_error"] == b"detection_failed"
    assert poisonous.calls == [8] + [1] * 8
    assert committed(bus) == all_read(bus)


def decoded_sum(data: bytes) -> int:
    from framebus.images import decode

    return int(decode(data, 10**6).sum())


def test_frames_are_batched_up_to_the_engines_size(bus: MemoryBus) -> None:
    engine = ScriptedEngine(preferred_batch_size=4)
    engine.gate.clear()
    for _ in range(16):
        publish(bus, jpeg())

    with running(bus, engine, max_batch_delay_ms=2000):
        engine.gate.set()
        read(bus, DETECTIONS, 16)

    assert engine.calls == [4, 4, 4, 4]


def test_pictures_of_different_sizes_never_share_a_call(bus: MemoryBus) -> None:
    engine = ScriptedEngine()
    for number in range(12):
        publish(bus, jpeg(64 + 16 * (number % 3), 48))

    with running(bus, engine):
        messages = [json.loads(record.value) for record in read(bus, DETECTIONS, 12)]

    assert sorted(message["image"]["width"] for message in messages) == [64] * 4 + [80] * 4 + [96] * 4


def test_what_is_held_at_once_stays_within_the_limit_while_the_engine_hangs(bus: MemoryBus) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    for number in range(200):
        publish(bus, jpeg(), key=f"cam-{number}".encode())

    with running(bus, engine, max_in_flight_frames=16) as run:
        wait_until(lambda: run.metric("framebus_in_flight_frames") == 16)
        threading.Event().wait(1.0)  # long enough for the partitions to be paused
        assert run.metric("framebus_in_flight_frames") == 16
        assert set(committed(bus).values()) == {0}
        engine.gate.set()
        assert len(read(bus, DETECTIONS, 200)) == 200

    assert committed(bus) == all_read(bus)


def test_stopping_finishes_what_is_in_flight_and_commits_it(bus: MemoryBus) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    for _ in range(5):
        publish(bus, jpeg())

    with running(bus, engine) as run:
        wait_until(lambda: run.metric("framebus_in_flight_frames") == 5)
        run.stop.set()
        engine.gate.set()

    assert run.failure is None
    assert len(read(bus, DETECTIONS, 5)) == 5
    assert committed(bus) == all_read(bus)


def test_a_second_consumer_goes_on_where_the_first_stopped(bus: MemoryBus) -> None:
    for number in range(10):
        publish(bus, jpeg(), headers=(("ce_id", str(number).encode()),))
    with running(bus):
        read(bus, DETECTIONS, 10)
    for number in range(10, 20):
        publish(bus, jpeg(), headers=(("ce_id", str(number).encode()),))
    with running(bus):
        records = read(bus, DETECTIONS, 20)

    assert [json.loads(record.value)["id"] for record in records] == [str(number) for number in range(20)]


def test_thresholds_change_what_is_published_while_running(bus: MemoryBus) -> None:
    from framebus.detections import Thresholds

    with running(bus) as run:
        publish(bus, jpeg())
        read(bus, DETECTIONS, 1)
        run.host.set_thresholds(Thresholds(confidence=95, predictions=10))
        publish(bus, jpeg())
        first, second = (json.loads(record.value) for record in read(bus, DETECTIONS, 2))

    assert len(first["objects"]) == 1
    assert second["objects"] == []
    assert second["model"]["confidence"] == 95


def test_the_id_of_a_detection_message_names_frame_and_model(bus: MemoryBus) -> None:
    publish(bus, jpeg())
    with running(bus):
        [record] = read(bus, DETECTIONS, 1)

    identifier = UUID(dict(record.headers)["ce_id"].decode())  # type: ignore[union-attr]
    assert identifier.version == 5


class RefusingProducer(MemoryProducer):
    """A broker that takes records and then cannot keep them."""

    def poll(self, timeout_s: float) -> None:
        while self._undelivered:
            _, on_delivery = self._undelivered.popleft()
            if on_delivery is not None:
                on_delivery(Delivery(None, None, "message timed out"))


class ForgetfulProducer(MemoryProducer):
    """Takes nothing for the first offers, as a full client buffer does."""

    refusals = 5

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        return super().publish(record, on_delivery)


def run_with(bus: MemoryBus, producer: Callable[[MemoryBus], MemoryProducer]) -> Run:
    return Run(bus, ScriptedEngine(), settings_with(), producer=producer(bus))


def test_an_undeliverable_detection_ends_the_run_and_commits_nothing(bus: MemoryBus) -> None:
    publish(bus, jpeg())
    run = run_with(bus, RefusingProducer)
    run.start()
    run.thread.join(timeout=30)

    assert isinstance(run.failure, TransportError)
    assert "message timed out" in str(run.failure)
    assert set(committed(bus).values()) == {0}


def test_a_full_producer_buffer_delays_and_loses_nothing(bus: MemoryBus) -> None:
    for _ in range(3):
        publish(bus, jpeg())
    run = run_with(bus, ForgetfulProducer)
    run.start()
    records = read(bus, DETECTIONS, 3)
    run.finish()

    assert len(records) == 3
    assert run.failure is None


class NarrowProducer(MemoryProducer):
    """A bus that refuses one frame's detections at once, and later any dead letter with a picture."""

    def publish(self, record: OutgoingRecord, on_delivery: DeliveryCallback | None = None) -> bool:
        if record.topic == DETECTIONS and ("traceparent", b"large") in record.headers:
            raise FrameTooLargeError("too large for the client")
        if record.topic == "frames.dead" and record.value and on_delivery is not None:
            on_delivery(Delivery(None, None, "too large for the broker", is_too_large=True))
            return True
        return super().publish(record, on_delivery)


def test_what_is_too_large_to_publish_ends_as_a_dead_letter_that_fits(bus: MemoryBus) -> None:
    for trace in (b"small", b"large", b"small"):
        publish(bus, jpeg() + bytes(50_000), headers=(("traceparent", trace),))
    run = run_with(bus, NarrowProducer)
    run.start()
    messages = read(bus, DETECTIONS, 2)
    [dead] = read(bus, "frames.dead", 1)
    run.finish()

    assert run.failure is None
    assert [json.loads(record.value)["source"]["offset"] for record in messages] == [0, 2]
    headers = dict(dead.headers)
    assert (headers["fb_error"], headers["fb_offset"]) == (b"too_large", b"1")
    assert dead.value == b""
    assert committed(bus) == all_read(bus)


def test_a_bug_in_a_stage_ends_the_run_and_commits_nothing(bus: MemoryBus) -> None:
    class BrokenEngine(ScriptedEngine):
        def detect(self, images: object, least_score: float = 0.0) -> list[object]:  # type: ignore[override]
            raise ZeroDivisionError("a bug")

    publish(bus, jpeg())
    run = Run(bus, BrokenEngine(), settings_with())
    run.start()
    run.thread.join(timeout=30)

    assert isinstance(run.failure, ZeroDivisionError)
    assert set(committed(bus).values()) == {0}

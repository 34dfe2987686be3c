import io
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from framebus import wire
from framebus.bus import Headers, OutgoingRecord, Partition, Record
from framebus.bus.kafka.cluster import ConsumerGroup, GroupMember
from framebus.cli.status.backlog import ModelStatus, PartitionBacklog, TopicBacklog
from framebus.cli.status.cameras import CamerasSeen
from framebus.cli.status.display import show
from framebus.dead_letters import encode_dead_letter
from framebus.detections import Detections, Thresholds
from framebus.errors import UndecodableFrameError
from framebus.frames import EncodedFrame, FramePosition
from framebus.routes import Route, Routes
from framebus.settings import TopicSettings

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FRAMES, DEAD = "frames", "frames.dead"
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), 64, 48)
TIMING = wire.Timing(wait_ms=1, decode_ms=1, infer_ms=1, total_ms=3, batch_size=1)


def as_read(record: OutgoingRecord) -> Record:
    return Record(
        Partition(record.topic, 0),
        7,
        int(NOW.timestamp() * 1000),
        record.key,
        record.value or b"",
        record.headers,
    )


def frame(camera: str, age_s: float = 0, data: bytes = b"picture", model: str | None = None) -> Record:
    encoded = EncodedFrame(camera, "1", NOW - timedelta(seconds=age_s), data, model=model)
    return as_read(wire.encode_frame(encoded, FRAMES))


def detections(camera: str, age_s: float, model: str = "ssd") -> Record:
    encoded = EncodedFrame(
        camera, "1", NOW - timedelta(seconds=age_s), b"", position=FramePosition(FRAMES, 0, 7)
    )
    in_force = wire.ModelInForce(model, "0123456789ab", Thresholds(30, 10), {})
    return as_read(wire.encode_detections(encoded, NOTHING, in_force, TIMING))


def dead_letter(key: bytes | None) -> Record:
    record = Record(Partition(FRAMES, 3), 7, 0, key, b"no picture", ())
    error = UndecodableFrameError("no picture")
    letter = encode_dead_letter(record, error, topic=DEAD, model_name="ssd", max_bytes=100_000)
    return as_read(letter)


def cameras(*models: str) -> CamerasSeen:
    routes = Routes([Route(topic=FRAMES, models=[*models])], TopicSettings())
    return CamerasSeen(routes, DEAD)


def seen(tally: CamerasSeen, seconds: float = 2.0) -> dict[str, Any]:
    return {camera["camera"]: camera for camera in tally.as_json(seconds, NOW)}


def test_frames_are_counted_by_camera_and_second() -> None:
    tally = cameras("ssd")
    for age_s in (1.5, 0.5, 1.0):
        tally.add(frame("gate", age_s, b"x" * 1000), NOW)
    tally.add(frame("yard", 1.2, b"x" * 500), NOW)

    gate, yard = seen(tally)["gate"], seen(tally)["yard"]
    assert (gate["frames_per_s"], gate["bytes_per_s"], gate["last_frame_s"]) == (1.5, 1500, 0.5)
    assert (yard["frames_per_s"], yard["bytes_per_s"], yard["last_frame_s"]) == (0.5, 250, 1.2)


def test_detections_are_counted_by_model_with_their_latency() -> None:
    tally = cameras("ssd", "coco")
    for age_ms in range(100, 0, -1):
        tally.add(detections("gate", age_ms / 1000), NOW)
    tally.add(detections("gate", 4, "coco"), NOW)

    assert seen(tally)["gate"]["models"] == [
        {"model": "coco", "detections_per_s": 0.5, "latency_p50_ms": 4000, "latency_p95_ms": 4000},
        {"model": "ssd", "detections_per_s": 50, "latency_p50_ms": 50, "latency_p95_ms": 95},
    ]


def test_a_camera_whose_clock_is_ahead_has_no_latency_and_no_age() -> None:
    tally = cameras("ssd")
    tally.add(frame("gate", -60), NOW)
    tally.add(detections("gate", -60), NOW)

    [model] = seen(tally)["gate"]["models"]
    assert (model["latency_p50_ms"], seen(tally)["gate"]["last_frame_s"]) == (0, 0)


def test_frames_that_no_model_answers_are_shown_with_the_models_of_their_route() -> None:
    tally = cameras("ssd", "coco")
    tally.add(frame("gate"), NOW)
    tally.add(frame("yard", model="coco"), NOW)

    answers = {
        name: {m["model"]: m["detections_per_s"] for m in one["models"]} for name, one in seen(tally).items()
    }
    assert answers == {"gate": {"ssd": 0, "coco": 0}, "yard": {"coco": 0}}


def test_a_silent_camera_is_known_from_earlier_detections() -> None:
    tally = cameras("ssd")
    tally.remember([detections("roof", 60), detections("roof", 90), detections("gate", 90)])
    tally.add(frame("gate", 0.1), NOW)

    roof = seen(tally)["roof"]
    assert (roof["frames_per_s"], roof["last_frame_s"]) == (0, 60)
    assert roof["models"][0]["detections_per_s"] == 0
    assert seen(tally)["gate"]["last_frame_s"] == 0.1


@pytest.mark.parametrize(("key", "camera"), [(b"gate", "gate"), (None, "frames/3"), (b"\xff", "\ufffd")])
def test_dead_letters_are_counted_by_reason(key: bytes | None, camera: str) -> None:
    tally = cameras("ssd")
    tally.add(dead_letter(key), NOW)
    tally.add(dead_letter(key), NOW)

    assert seen(tally)[camera]["dead_letters"] == {"undecodable": 2}


@pytest.mark.parametrize(
    "headers", [(), (("ce_time", b"yesterday"),), (("ce_type", b"something.else"), ("ce_time", b"now"))]
)
def test_what_others_publish_to_our_topics_harms_nothing(headers: Headers) -> None:
    tally = cameras("ssd")
    strange = Record(Partition("detections.ssd", 0), 7, 0, b"gate", b"{", headers)
    tally.remember([strange])
    tally.add(strange, NOW)
    tally.add(Record(Partition(FRAMES, 1), 7, 10**17, None, b"", headers), NOW)

    assert list(seen(tally)) == ["frames/1"]
    assert seen(tally)["frames/1"]["last_frame_s"] is None


@pytest.mark.parametrize(
    ("oldest", "committed", "end", "lag"),
    [
        (0, 40, 100, 60),
        (70, 40, 100, 30),  # the rest has expired, and nobody will read it
        (70, None, 100, 30),  # a new group begins with the oldest
        (0, 100, 100, 0),
        (0, 100, 90, 0),  # of a topic that was made anew
    ],
)
def test_lag_is_what_can_still_be_read(oldest: int, committed: int | None, end: int, lag: int) -> None:
    assert PartitionBacklog(Partition(FRAMES, 0), oldest, committed, end).lag == lag


def report(members: tuple[GroupMember, ...] | None, **changes: Any) -> dict[str, Any]:
    partitions = [PartitionBacklog(Partition(FRAMES, n), 0, 10 * n, 10 * n + n) for n in range(3)]
    topic = TopicBacklog(FRAMES, partitions, oldest_waiting_s=150.2)
    group = ConsumerGroup("stable", members, {})
    tally = cameras("ssd")
    tally.add(frame("gate\x1b[2J", 0.1, b"x" * 1_000_000), NOW)
    return {
        "broker": "kafka:9092",
        "brokers": ["kafka-1:9092", "kafka-2:9092"],
        "seconds": 2.0,
        "behind_s": 0.0,
        "models": [ModelStatus("ssd", "framebus.ssd", group, [topic]).as_json()],
        "cameras": tally.as_json(2.0, NOW),
        "problems": [],
        **changes,
    }


def shown(report: dict[str, Any]) -> list[str]:
    """Its lines, with one space between words."""
    output = io.StringIO()
    show(report, Console(file=output, width=200))
    return [" ".join(line.split()) for line in output.getvalue().splitlines()]


def test_what_waits_is_shown_with_the_worst_partition() -> None:
    lines = shown(report(()))

    assert "broker kafka:9092, 2 brokers" in lines
    assert "ssd frames 3 30 33 3 2: 2 3 min" in lines


def test_consumers_are_shown_with_their_share() -> None:
    members = (
        GroupMember("worker-1", "10.0.0.1", (Partition(FRAMES, 0), Partition(FRAMES, 2))),
        GroupMember("worker-2", "10.0.0.2", ()),
    )
    lines = shown(report(members))

    assert "ssd framebus.ssd stable worker-1 10.0.0.1 2 of frames" in lines
    assert "ssd framebus.ssd stable worker-2 10.0.0.2 none" in lines


def test_what_the_broker_does_not_tell_is_not_made_up() -> None:
    assert "ssd framebus.ssd stable - - -" in shown(report(None))


def test_a_camera_is_shown_in_one_line_and_cannot_command_the_terminal() -> None:
    assert r"gate\x1b[2J ssd 0.5 0.50 0.1 s ago 0.0 - - 0" in shown(report(()))


def test_problems_and_rates_that_are_too_low_are_said() -> None:
    lines = shown(report((), behind_s=4.2, problems=["the cat sat on the broker"]))

    assert "reading them was 4.2 s behind: the rates are too low" in lines
    assert "problem: the cat sat on the broker" in lines

"""What the programs really publish, on all topics, is what docs/asyncapi.yaml and docs/schemas say."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from framebus import wire
from framebus.bus import OutgoingRecord
from framebus.bus.kafka import KafkaProducer
from framebus.frames import EncodedFrame, TraceContext
from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.contracts import (
    Message,
    MessageContract,
    Schema,
    contracts_of,
    leaves,
    message_of,
    resolve,
    with_wrong_type,
    without,
)
from tests.deadly_model import ENGINE, KILLS, REFUSES, install_deadly_engine
from tests.e2e.rest_processes import SLOW, RestInstallation, RestProcess, WorkerProcess, data_of
from tests.integration.accounts import read
from tests.pictures import jpeg

pytestmark = pytest.mark.slow

TRACE = TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
MAX_PIXELS = 10_000
MAX_BYTES = 100_000
# What is published of the kinds that die before the engine sees them, and the one that it refuses.
DEAD_FRAMES: tuple[tuple[bytes | None, bytes | None, dict[str, bytes]], ...] = (
    (b"cam-2", b"no picture", {"content-type": b"text/plain", "ce_id": b"frame-1"}),
    (b"cam-2", None, {}),
    (None, jpeg()[:-100], {}),
    (b"cam-2", jpeg(320, 240), {}),
    (b"cam-2", jpeg(), {"ce_time": b"yesterday \xff"}),
    (b"cam-2", jpeg(), {"ce_model": b"nobody"}),
    (b"cam-2", REFUSES, {"fb_error": b"its own"}),
    (b"cam-2", b"\0" * MAX_BYTES, {}),
    (b"cam-2", b"\0", {"note": b"\0" * MAX_BYTES}),
    (b"\0" * MAX_BYTES, b"\0", {}),
)
REASONS = {
    "undecodable",
    "too_large",
    "invalid_header",
    "unknown_model",
    "detection_failed",
    "process_killed",
}

Published = dict[str, list[Message]]


class Programs(RestInstallation):
    """Workers with an engine that refuses some pictures, and dies of others."""

    def __init__(self, servers: str, directory: Path) -> None:
        super().__init__(servers, directory)
        packages = install_deadly_engine(directory / "deadly")
        self._environment |= {
            "PYTHONPATH": os.pathsep.join([str(packages), self._environment["PYTHONPATH"]]),
            "FRAMEBUS_CONSUMER__INSTANCE_ID": "worker",
            "FRAMEBUS_CONSUMER__MAX_DEAD_SHARE": "1",
            "FRAMEBUS_CONSUMER__MAX_FRAME_PIXELS": str(MAX_PIXELS),
            # A frame dies in full only if it is smaller than this; topics take larger ones.
            "FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES": str(MAX_BYTES),
        }
        self.topics = {
            "frames": self.topic,
            "detections": self.detections,
            "deadLetters": self.dead,
            "commands": self._environment["FRAMEBUS_TOPICS__COMMANDS"],
            "workers": self._environment["FRAMEBUS_TOPICS__WORKERS"],
        }

    def deadly(self) -> WorkerProcess:
        return self.worker("--engine", ENGINE)

    def publish(self, *records: OutgoingRecord) -> None:
        with closing(KafkaProducer(KafkaSettings(bootstrap_servers=self.servers))) as producer:
            for record in records:
                assert producer.publish(record)
            assert producer.flush(30) == 0

    def read(self, channel: str) -> list[Message]:
        """All that stands on the topic of a channel."""
        is_json = any(contract.is_json for contract in contracts_of(channel))
        records = read(self.servers, self.topics[channel])
        return [message_of(one.key, one.value, one.headers, is_json=is_json) for one in records]


@pytest.fixture(scope="module")
def published(apache: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """What stood on each channel's topic after programs had done all that makes them publish."""
    with Programs(apache.bootstrap_servers, tmp_path_factory.mktemp("contracts")) as programs:
        worker, api = programs.deadly(), programs.api()
        worker.until_ready()
        api.until_workers(worker)
        cameras = programs.producer(cameras=2, fps=20)
        worker.until_finished(20)
        command(programs, api, worker)
        cameras.stop()
        publish_all_kinds(programs)
        worker.until(
            lambda: worker.metric("framebus_dead_letters_total") >= len(DEAD_FRAMES), "the dead letters"
        )
        programs.wait_until_committed()
        worker.stop()
        kill(programs)
        yield {channel: programs.read(channel) for channel in programs.topics}


def command(programs: Programs, api: RestProcess, worker: WorkerProcess) -> None:
    """Has everything said once that the REST API says on the topic of commands."""
    with api.client() as client:

        def configure(**thresholds: object) -> httpx.Response:
            return client.patch(f"/models/{programs.model}/config", json=thresholds)

        data_of(configure(confidence=95))
        programs.until_more_frames(worker)
        data_of(configure(confidence=None, predictions=3))
        data_of(configure(predictions=None))
        data_of(client.get(f"/models/{SLOW}/load"))
        data_of(client.get(f"/models/{SLOW}/load", params={"force": "true"}))
        data_of(client.post(f"/models/{SLOW}/unload"))


def publish_all_kinds(programs: Programs) -> None:
    """Publishes frames as outsiders do: bare, with all there may be, and such as must die."""
    traced = EncodedFrame(
        "gate/7 ü", "frame-1", datetime.now(UTC), jpeg(), model=programs.model, sequence="1", trace=TRACE
    )
    programs.publish(
        OutgoingRecord(programs.topic, None, jpeg()),
        wire.encode_frame(traced, programs.topic),
        *(
            OutgoingRecord(programs.topic, key, value, tuple(headers.items()))
            for key, value, headers in DEAD_FRAMES
        ),
    )


def kill(programs: Programs) -> None:
    """Publishes a frame that processes die of, until it is found out."""
    programs.publish(OutgoingRecord(programs.topic, b"cam-3", KILLS))
    for _ in range(3):
        assert programs.deadly().wait() == -signal.SIGKILL
    survivor = programs.deadly()
    survivor.until(lambda: programs.unfinished() == 0, "all frames to be finished")
    survivor.stop()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message, and all of it that was published."""

    contract: MessageContract
    messages: list[Message]


def kinds_of(published: Published, channel: str) -> dict[str, Kind]:
    """The messages on a channel by what they are; each has to be one thing, and nothing besides."""
    contracts = contracts_of(channel, strict=True)
    found: dict[str, list[Message]] = defaultdict(list)
    for message in published[channel]:
        problems = {contract.name: contract.problems(message) for contract in contracts}
        [name] = [name for name, wrong in problems.items() if not wrong] or [f"{problems} of {message}"]
        found[name].append(message)
    by_name = {contract.name: contract for contract in contracts}
    assert set(found) == set(by_name), "each kind was published, and nothing else"
    return {name: Kind(by_name[name], messages) for name, messages in found.items()}


def test_frames_are_as_they_are_described(published: Published) -> None:
    dead = [frame for frame in published["frames"] if "ce_source" not in frame.headers]
    by_framebus = [frame for frame in published["frames"] if "ce_source" in frame.headers]
    contract = MessageContract("frame", strict=True)
    written = Schema(resolve({"$ref": "schemas/frame-headers.schema.json#/$defs/written"}))

    assert len(by_framebus) >= 40
    for frame in by_framebus:
        assert contract.problems(frame) == []
        assert written.problems(frame.headers) == []
    assert {"traceparent", "tracestate"} <= {name for frame in by_framebus for name in frame.headers}
    assert contract.problems(next(frame for frame in dead if frame.key is None)) == [], "a bare frame"
    broken = next(frame for frame in dead if frame.headers.get("ce_time", "").startswith("yesterday"))
    assert contract.problems(broken)


def test_detections_are_as_they_are_described(published: Published) -> None:
    detections = kinds_of(published, "detections")["detections"].messages

    assert {len(one.payload["objects"]) for one in detections} == {0, 1}
    assert {one.payload["model"]["confidence"] for one in detections} == {50.0, 95.0}
    assert {"traceparent", "tracestate"} <= {name for one in detections for name in one.headers}
    assert any(one.key and one.key.startswith("frames") for one in detections), "of a frame without a key"


def test_dead_letters_are_as_they_are_described(published: Published) -> None:
    letters = kinds_of(published, "deadLetters")["deadLetter"].messages

    assert len(letters) == len(DEAD_FRAMES) + 1
    assert {letter.headers["fb_error"] for letter in letters} == REASONS
    assert {letter.headers.get("fb_left_out") for letter in letters} == {
        None,
        "value",
        "value and headers",
        "value, headers and key",
    }
    assert sum(letter.payload == "" for letter in letters) == 4, "one had no picture from the start"


def test_commands_are_as_they_are_described(published: Published) -> None:
    kinds = kinds_of(published, "commands")

    assert {message.payload["loaded"] for message in kinds["load"].messages} == {True, False}
    assert [message.payload for message in kinds["thresholds"].messages] == [
        {"confidence": 95.0, "predictions": None},
        {"confidence": None, "predictions": 3},
    ]
    assert len(kinds["thresholdsCleared"].messages) == 1


def test_what_workers_say_is_as_it_is_described(published: Published) -> None:
    kinds = kinds_of(published, "workers")
    statuses = [message.payload for message in kinds["status"].messages]

    assert all(message.key == message.payload["worker"] for message in kinds["status"].messages)
    assert any(status["cameras"] for status in statuses)
    assert any(len(status["models"]) == 2 for status in statuses)
    assert len({message.key for message in kinds["farewell"].messages}) == 2, "of the two that were stopped"


@pytest.mark.parametrize(
    ("channel", "name", "optional"),
    [
        ("detections", "detections", {"traceparent", "tracestate"}),
        ("deadLetters", "deadLetter", {"fb_time", "fb_left_out"}),
        ("commands", "load", set()),
        ("commands", "thresholds", set()),
        ("workers", "status", set()),
    ],
)
def test_a_message_that_lacks_something_or_has_a_wrong_type_is_none(
    published: Published, channel: str, name: str, optional: set[str]
) -> None:
    kind = kinds_of(published, channel)[name]
    message = max(kind.messages, key=lambda one: len(list(leaves([one.headers, one.payload]))))
    described = resolve(kind.contract.document.get("headers", {})).get("properties", {})
    for header in message.headers.keys() & described.keys() - optional:
        headers = without(message.headers, (header,))
        assert kind.contract.problems(Message(message.key, headers, message.payload)), header
        empty: dict[str, Any] = {**message.headers, header: ""}
        assert kind.contract.problems(Message(message.key, empty, message.payload)), header
    for path in leaves(message.payload):
        if "config" in path[:-1]:
            continue  # what people write into config.json is theirs
        if not isinstance(path[-1], int):
            lacking = Message(message.key, message.headers, without(message.payload, path))
            assert kind.contract.problems(lacking), f"without {path}"
        wrong = Message(message.key, message.headers, with_wrong_type(message.payload, path))
        assert kind.contract.problems(wrong), f"with a wrong {path}"

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from framebus.bus import OutgoingRecord, Partition, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from framebus.local_broker import LocalBroker
from framebus.routes import group_id
from framebus.settings import KafkaSettings
from tests.integration.published import Publisher
from tests.kafka import kafka_settings, unique
from tests.pictures import jpeg

PICTURE = jpeg(160, 120)


@dataclass
class Installation:
    """A model on one topic of frames with one partition."""

    kafka: KafkaSettings
    model: str
    frames: str
    dead: str

    def environment(self, routes: list[dict[str, Any]] | None = None) -> dict[str, str]:
        default = [{"topic": self.frames, "models": [self.model]}]
        return {
            **os.environ,
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "FRAMEBUS_KAFKA__GROUP_ID": self.kafka.group_id,
            "FRAMEBUS_ROUTES": json.dumps(routes or default),
            "FRAMEBUS_TOPICS__DEAD": self.dead,
        }

    def status(
        self, *options: str, routes: list[dict[str, Any]] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*options),
            env=self.environment(routes),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def consumer(self) -> Iterator[KafkaConsumer]:
        """A member of the model's group that has got its partition."""
        settings = self.kafka.model_copy(update={"group_id": group_id(self.kafka, self.model)})
        assigned: list[Partition] = []
        with closing(KafkaConsumer(settings)) as consumer:
            consumer.subscribe(
                [self.frames],
                on_assigned=assigned.extend,
                on_revoked=lambda _: None,
                on_lost=lambda _: None,
                on_committed=lambda offsets, error: self.committed.update(offsets if error is None else {}),
            )
            while not assigned:
                consumer.poll(0, 0.1)
            yield consumer

    def __post_init__(self) -> None:
        self.committed: dict[Partition, int] = {}

    def commit(self, offset: int) -> None:
        """Lets a consumer of the group come, commit and go."""
        wanted = {Partition(self.frames, 0): offset}
        with self.consumer() as consumer:
            consumer.commit(wanted)
            while self.committed != wanted:
                consumer.poll(0, 0.1)


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "framebus.cli", "status", *options]


@pytest.fixture
def installation(broker: LocalBroker) -> Installation:
    made = Installation(kafka_settings(broker), unique("ssd"), unique("frames"), unique("dead"))
    topics = (made.frames, made.dead, f"detections.{made.model}")
    KafkaAdmin(made.kafka).create_topics([TopicSpec(name, 1, 1, {}) for name in topics])
    return made


def test_a_running_installation(installation: Installation, broker: LocalBroker) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    frames, model = installation.frames, installation.model
    letter = OutgoingRecord(installation.dead, b"broken", b"", (("fb_error", b"undecodable"),))
    with (
        Publisher(installation.kafka) as publisher,
        closing(KafkaProducer(installation.kafka)) as producer,
        installation.consumer() as consumer,
        subprocess.Popen(
            command("--json"), env=installation.environment(), stdout=subprocess.PIPE, text=True
        ) as running,
    ):
        assert running.stdout is not None
        publisher.detections(publisher.frame(frames, "roof", hour_ago, PICTURE), model)
        while running.poll() is None:
            frame = publisher.frame(frames, "gate", datetime.now(UTC), PICTURE)
            publisher.detections(frame, model)
            producer.publish(letter)
            assert producer.flush(30) == 0
            for record in consumer.poll(10, 0.05):
                consumer.commit({record.partition: record.offset + 1})
        seen = json.loads(running.stdout.read())

    assert (running.returncode, seen["problems"]) == (0, [])
    assert seen["brokers"] == [broker.bootstrap_servers]
    assert seen["seconds"] == pytest.approx(3, abs=0.5)
    cameras = {camera["camera"]: camera for camera in seen["cameras"]}
    gate, [of_model] = cameras["gate"], cameras["gate"]["models"]
    assert gate["frames_per_s"] > 1
    assert gate["bytes_per_s"] == pytest.approx(gate["frames_per_s"] * len(PICTURE), rel=0.05)
    assert gate["last_frame_s"] < 30
    assert of_model["model"] == model
    assert of_model["detections_per_s"] == pytest.approx(gate["frames_per_s"], rel=0.5)
    assert 0 <= of_model["latency_p50_ms"] <= of_model["latency_p95_ms"] < 30_000
    assert cameras["roof"]["frames_per_s"] == 0
    assert cameras["roof"]["last_frame_s"] > 3_600
    assert cameras["broken"]["dead_letters"]["undecodable"] > 1
    [status] = seen["models"]
    assert (status["group"], status["state"]) == (f"{installation.kafka.group_id}.{model}", "stable")
    [topic] = status["topics"]
    assert topic["committed"] > 0
    if broker.kind == "tansu":  # which does not tell who the members are
        assert status["consumers"] is None
    else:
        [member] = status["consumers"]
        assert member["partitions"] == {frames: [0]}


def test_what_waits_is_counted_and_lag_alone_is_no_problem(installation: Installation) -> None:
    with Publisher(installation.kafka) as publisher:
        for _ in range(10):
            publisher.frame(installation.frames, "gate", datetime.now(UTC), PICTURE)
    installation.commit(4)

    done = installation.status("--json", "--seconds", "0.5")

    seen = json.loads(done.stdout)
    [model] = seen["models"]
    [topic] = model["topics"]
    assert (topic["committed"], topic["end"], topic["lag"]) == (4, 10, 6)
    assert topic["partitions"] == [{"partition": 0, "committed": 4, "end": 10, "lag": 6}]
    assert 0 < topic["oldest_waiting_s"] < 60
    assert (model["state"], model["consumers"]) == ("empty", [])
    assert done.returncode == 3
    assert seen["problems"] == [
        f"model {model['model']} has no consumer: its group {model['group']} has no members"
    ]


def test_it_is_written_for_people(installation: Installation) -> None:
    with Publisher(installation.kafka) as publisher:
        for _ in range(3):
            frame = publisher.frame(installation.frames, "gate", datetime.now(UTC), PICTURE)
            publisher.detections(frame, installation.model)

    done = installation.status("--seconds", "0.5")

    lines = [line.split() for line in done.stdout.splitlines()]
    assert [installation.model, installation.frames, "1", "-", "3", "3", "0:", "3"] in [x[:8] for x in lines]
    assert ["gate", installation.model, "0.0", "0.00"] in [x[:4] for x in lines]
    assert done.stdout.isascii()


def test_a_topic_that_is_missing_is_named_and_the_rest_is_shown(installation: Installation) -> None:
    models = [installation.model]
    routes = [{"topic": installation.frames, "models": models}, {"topic": "absent", "models": models}]

    done = installation.status("--json", "--seconds", "0.5", routes=routes)

    seen = json.loads(done.stdout)
    assert done.returncode == 3
    assert (
        "topic absent does not exist, or this user may not see it; "
        "create it with `framebus topics create --topic absent`" in seen["problems"]
    )
    assert [topic["topic"] for topic in seen["models"][0]["topics"]] == [installation.frames]


def test_topics_of_a_regular_expression_are_found(installation: Installation) -> None:
    site = unique("site")
    floors = [f"{site}.{floor}" for floor in ("cellar", "roof")]
    KafkaAdmin(installation.kafka).create_topics([TopicSpec(name, 2, 1, {}) for name in floors])
    routes = [{"topic": rf"^{site}\..*", "models": [installation.model]}]

    done = installation.status("--json", "--seconds", "0.5", routes=routes)

    [model] = json.loads(done.stdout)["models"]
    assert [(topic["topic"], len(topic["partitions"])) for topic in model["topics"]] == [
        (f, 2) for f in floors
    ]

"""Two models on one topic; what one of them cannot process dies, is mended, and is sent round again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from framebus.local_broker import LocalBroker
from tests.e2e.consumer_process import ConsumerProcess, read
from tests.e2e.fussy_models import install_fussy_engine, make_fussy_model, mend
from tests.kafka import unique
from tests.pictures import jpeg

CAPTURED_MS = 1_700_000_000_250
CAPTURED_AT = "2023-11-14T22:13:20.250Z"


@dataclass(frozen=True, slots=True)
class Installation:
    """A consumer of two models: `content` takes every picture, `fussy` none until it is mended."""

    consumer: ConsumerProcess
    models: Path
    content: str
    fussy: str

    def publish(self, key: bytes | None, model: bytes | None = None) -> None:
        """Publishes a frame that says nothing of itself, or only which model it is for."""
        servers = self.consumer.settings.bootstrap_servers
        with closing(KafkaProducer(bootstrap_servers=servers)) as producer:
            headers = [] if model is None else [("ce_model", model)]
            producer.send(
                self.consumer.topic, key=key, value=jpeg(), headers=headers, timestamp_ms=CAPTURED_MS
            )
            producer.flush()

    def answers(self, model: str, count: int) -> list[dict[str, Any]]:
        """Reads so many detections of a model."""
        return [json.loads(one.value) for one in read(self.consumer, f"detections.{model}", count)]

    def dead(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `framebus dead`."""
        environment = {
            **os.environ,
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": self.consumer.settings.bootstrap_servers,
            "FRAMEBUS_TOPICS__DEAD": self.consumer.dead,
        }
        return subprocess.run(
            [sys.executable, "-m", "framebus.cli", "dead", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )


@pytest.fixture
def installation(
    best_broker: LocalBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    content, fussy = unique("content"), unique("fussy")
    models, routes = tmp_path / "models", tmp_path / "routes.yaml"
    for model in (content, fussy):
        make_fussy_model(models, model)
    mend(models, content)
    monkeypatch.setenv("PYTHONPATH", install_fussy_engine(tmp_path))

    def write_routes(topic: str) -> None:
        routes.write_text(json.dumps({"routes": [{"topic": topic, "models": [content, fussy]}]}))

    with ConsumerProcess(
        best_broker,
        models,
        tmp_path / "consumer.log",
        arguments=["--routes", str(routes)],
        models=[content, fussy],
        before_start=write_routes,
    ) as consumer:
        yield Installation(consumer, models, content, fussy)


@pytest.mark.slow
@pytest.mark.parametrize("key", [b"gate", None])
def test_a_bare_frame_is_replayed_for_the_model_that_failed_and_keeps_its_name_and_time(
    installation: Installation, key: bytes | None
) -> None:
    topic = installation.consumer.topic
    installation.publish(key)
    [first] = installation.answers(installation.content, 1)
    [dead] = read(installation.consumer, installation.consumer.dead, 1)
    assert dict(dead.headers)["fb_error"] == b"detection_failed"
    assert dict(dead.headers)["fb_time"] == CAPTURED_AT.encode()

    # Not mended yet: it dies anew, and that is not replayed in the same run.
    assert "1 of 1 frames published" in installation.dead("replay", "--all", "--yes").stderr
    assert len(read(installation.consumer, installation.consumer.dead, 2)) == 2

    mend(installation.models, installation.fussy)
    [_, newest] = installation.dead("list", "--json").stdout.splitlines()
    installation.dead("replay", json.loads(newest)["place"], "--yes")

    [answer] = installation.answers(installation.fussy, 1)
    assert answer["source"] != first["source"]
    for said in ("id", "sensorId", "timestamp"):
        assert answer[said] == first[said]
    assert answer["timestamp"] == CAPTURED_AT
    assert answer["id"] == f"{topic}/{first['source']['partition']}/{first['source']['offset']}"

    # A frame that stands behind the replays is the second that the other model answers.
    installation.publish(first["sensorId"].encode())
    answers = installation.answers(installation.content, 2)
    assert len({one["id"] for one in answers}) == 2
    assert {one["sensorId"] for one in answers} == {first["sensorId"]}

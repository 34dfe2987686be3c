"""Workers as real processes on control topics of their own, and the other side of those topics."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import httpx

from framebus.bus import BusReader, Delivery, OutgoingRecord, Record
from framebus.bus.kafka import KafkaBus
from framebus.control import (
    LoadCommand,
    ModelStatus,
    Overrides,
    WorkerStatus,
    load_record,
    overrides_record,
    read_status,
)
from framebus.errors import TransportError
from framebus.settings import KafkaSettings, TopicSettings
from framebus.topics import control_topic_specs
from tests.integration.framebus_process import FramebusProcess
from tests.integration.installation import Installation
from tests.kafka import unique
from tests.quick_model import add_quick_model

TOKEN = "what-the-workers-and-the-api-share"

_TIMEOUT_S = 60.0
_INTERVAL_S = 0.2
_REQUEST_TIMEOUT_S = 60.0

Found = TypeVar("Found")


class ControlledWorkers(Installation):
    """An installation whose workers are told what to do; its topics of control are there already.

    Args:
        servers: The broker.
        directory: For models, pictures and logs.
        beat_interval_s: The setting.
        call_s: How long each call of an engine takes.

    Attributes:
        models: The models directory.
        second: A model that no topic is read for.
        commands_topic: Where they are told what to do.
        workers_topic: Where they tell of themselves.
    """

    def __init__(
        self, servers: str, directory: Path, *, beat_interval_s: float = 0.5, call_s: float = 0.005
    ) -> None:
        super().__init__(servers, directory, partitions=2, call_s=call_s)
        self.models = directory / "models"
        self.second = unique("second")
        add_quick_model(directory, self.second)
        self._control = TopicSettings(
            commands=unique("commands"), workers=unique("workers"), replication_factor=1
        )
        self.commands_topic, self.workers_topic = self._control.commands, self._control.workers
        self._environment |= {
            "FRAMEBUS_TOPICS__COMMANDS": self._control.commands,
            "FRAMEBUS_TOPICS__WORKERS": self._control.workers,
            "FRAMEBUS_CONTROL__WORKER_TOKEN": TOKEN,
            "FRAMEBUS_CONTROL__BEAT_INTERVAL_S": str(beat_interval_s),
        }
        self._bus = KafkaBus(KafkaSettings(bootstrap_servers=servers))
        self.create_topics()
        self.create_control_topics()
        self._listener = self._processes.enter_context(closing(self._bus.reader()))
        follow_from_start(self._listener, self._control.workers)
        self._said: list[Record] = []

    def create_control_topics(self) -> bool:
        """Creates the topics of control that are missing; tells whether both are there."""
        admin = self._bus.admin()
        admin.create_topics(control_topic_specs(self._control))
        return {self.commands_topic, self.workers_topic} <= admin.partition_counts().keys()

    def load(self, model: str, *, loaded: bool = True, generation: int = 0) -> float:
        """Desires a model; returns when that was on the bus, in seconds since 1970."""
        command = LoadCommand(loaded=loaded, generation=generation)
        return self._say(load_record(self._control.commands, model, command))

    def override(self, model: str, **thresholds: Any) -> float:
        """Overrides thresholds; returns when that was on the bus, in seconds since 1970."""
        return self._say(overrides_record(self._control.commands, model, Overrides(**thresholds)))

    def _say(self, record: OutgoingRecord) -> float:
        deliveries: list[Delivery] = []
        with closing(self._bus.producer()) as producer:
            assert producer.publish(record, deliveries.append)
            assert producer.flush(30) == 0
        assert deliveries[0].error is None
        return time.time()

    def said(self, worker: FramebusProcess) -> list[Record]:
        """All that a worker said of itself so far."""
        self._said += self._listener.poll(1_000, 0.1)
        return [record for record in self._said if f"-{worker.process.pid}-" in (record.key or b"").decode()]

    def until_last_word(self, worker: FramebusProcess) -> list[Record]:
        """Waits until a worker has said goodbye; returns all that it said."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while not (said := self.said(worker)) or said[-1].value:
            assert time.monotonic() < deadline_s, "it left without a word"
        return said

    def beats(self, worker: FramebusProcess) -> list[WorkerStatus]:
        """The same without its last word."""
        return [read_status(record) for record in self.said(worker) if record.value]

    def until_told(
        self, worker: FramebusProcess, condition: Callable[[WorkerStatus], Found | None], what: str
    ) -> Found:
        """Waits until the newest beat of a worker is such."""

        def newest() -> Found | None:
            beats = self.beats(worker)
            return condition(beats[-1]) if beats else None

        return worker.until(newest, what)

    def until_model(
        self,
        worker: FramebusProcess,
        model: str,
        condition: Callable[[ModelStatus], bool] = lambda status: status.state == "loaded",
    ) -> ModelStatus:
        """Waits until a worker says such a thing of a model."""

        def such(status: WorkerStatus) -> ModelStatus | None:
            found = status.model(model)
            return found if found is not None and condition(found) else None

        return self.until_told(worker, such, f"word of {model}")

    def predict(self, worker: FramebusProcess, model: str, picture: bytes) -> httpx.Response:
        """Asks a worker as the control API does, at the address that it told."""
        address = self.until_told(worker, lambda status: status.address, "its address")
        with httpx.Client(trust_env=False, timeout=_REQUEST_TIMEOUT_S) as client:
            return client.post(
                f"{address}/models/{model}/predict",
                content=picture,
                headers={"Authorization": f"Bearer {TOKEN}"},
            )


class Detections:
    """Follows what is published of the detections of an installation's frames."""

    def __init__(self, installation: Installation) -> None:
        self._reader = KafkaBus(KafkaSettings(bootstrap_servers=installation.servers)).reader()
        follow_from_start(self._reader, installation.detections)
        self.messages: list[tuple[float, Any]] = []
        """When each was published, in seconds since 1970, and what it says."""

    def until(self, condition: Callable[[Any], bool], what: str) -> tuple[float, Any]:
        """Waits for a message such as that, and returns it with its time."""
        looked_at, deadline_s = 0, time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline_s:
            for record in self._reader.poll(1_000, 0.1):
                self.messages.append((record.timestamp_ms / 1000, json.loads(record.value)))
            for published_s, message in self.messages[looked_at:]:
                if condition(message):
                    return published_s, message
            looked_at = len(self.messages)
        raise AssertionError(f"waited in vain for {what}")

    def close(self) -> None:
        """Reads no more."""
        self._reader.close()


def follow_from_start(reader: BusReader, topic: str) -> None:
    """Follows a topic from its start; that it was just made, brokers hear of a moment later."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return reader.follow([topic], from_start=True)
        except TransportError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_INTERVAL_S)

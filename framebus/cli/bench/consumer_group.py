"""Consumers of one group that share a backlog evenly, and an account of every frame of it."""

import math
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count

import orjson

from framebus.bus.kafka import KafkaReader
from framebus.bus.kafka.murmur2 import partition_of
from framebus.cli.bench.backlog import Backlog, create_topics
from framebus.cli.bench.consumer_process import ConsumerProcess, Reading, Window
from framebus.cli.bench.own_broker import OwnBroker
from framebus.cli.bench.sleeping_engine import BATCH, make_sleeping_model
from framebus.cli.bench.usage import Usage, busy_core_s
from framebus.errors import FramebusError
from framebus.settings import Settings
from framebus.topics import detections_topic

ACCOUNT = ("frames", "lost", "duplicates")
"""What `account` tells."""

_WARM_UP_CALLS = 3
# More than are done by the end of the window, so that no consumer is without a frame before it.
_SPARE_S = 2.0
_SHARE_TIMEOUT_S = 60.0
_LOOK_INTERVAL_S = 0.1
_READ_RECORDS = 500
_POLL_S = 0.1
_SILENT_S = 10.0
_MB = 1e6


def one_camera_per_partition(partitions: int) -> list[str]:
    """Ids of cameras, the first one for each partition."""
    found: dict[int, str] = {}
    for number in count():
        camera = f"cam-{number}"
        found.setdefault(partition_of(camera.encode(), partitions), camera)
        if len(found) == partitions:
            return list(found.values())
    raise AssertionError("numbers do not end")


@dataclass(frozen=True, slots=True)
class ConsumerGroups:
    """Groups of any number of consumers, whose engines sleep, and what they do.

    Attributes:
        broker: Runs, and has a models directory that is there.
        environment: Of a process that has the engine.
        jpegs: What cameras publish.
        call_ms: How long a call of the engine takes.
        partitions: Of the topic; a multiple of the consumers.
        seconds: How long one measurement takes, once it is warm.
    """

    broker: OwnBroker
    environment: Mapping[str, str]
    jpegs: Sequence[bytes]
    call_ms: float
    partitions: int
    seconds: float

    @property
    def engine_fps(self) -> float:
        """What one engine does alone."""
        return BATCH * 1000 / self.call_ms

    def measure(self, consumers: int) -> dict[str, float]:
        """Starts a group of so many on a topic of its own, measures it, and accounts for every frame.

        Raises:
            FramebusError: A consumer failed, or was without frames before the window ended.
        """
        run = uuid.uuid4().hex
        topics = self.broker.settings.topics.model_copy(
            update={"frames": f"frames-{run}", "partitions": self.partitions}
        )
        settings = self.broker.settings.model_copy(update={"topics": topics})
        create_topics(settings)
        make_sleeping_model(settings.models_dir, run, self.call_ms)
        each = math.ceil((self.seconds + _SPARE_S) * self.engine_fps) + (_WARM_UP_CALLS + 1) * BATCH
        # Equally many on each partition.
        published = math.ceil(each * consumers / self.partitions) * self.partitions
        with ExitStack() as running:
            group = [
                running.enter_context(
                    ConsumerProcess(self.broker, run, topics.frames, group=run, environment=self.environment)
                )
                for _ in range(consumers)
            ]
            _wait_for_shares(group, self.partitions // consumers)
            Backlog(settings, self.jpegs, one_camera_per_partition(self.partitions)).grow_to(published)
            figures = self._window(group, published)
            for consumer in group:
                consumer.wait_for(published // consumers)
        return {**figures, **account(settings, run, published)}

    def _window(self, group: Sequence[ConsumerProcess], published: int) -> dict[str, float]:
        """Measures the group once it is warm."""
        for consumer in group:
            consumer.wait_for(_WARM_UP_CALLS * BATCH)
        first, machine_s = _together([consumer.read() for consumer in group]), busy_core_s()
        time.sleep(self.seconds)
        readings = [consumer.read() for consumer in group]
        last, machine_s = _together(readings), busy_core_s() - machine_s
        if max(reading.frames for reading in readings) >= published // len(group):
            raise FramebusError("a consumer was without frames before the end: publishing them took too long")
        figures = Window(first, last).figures()
        per_frame_ms = figures["cpu_ms_per_frame"] + figures["broker_cpu_ms_per_frame"]
        return {
            **figures,
            "vs_engines": figures["fps"] / (self.engine_fps * len(group)),
            "busy_cores": per_frame_ms / 1000 * figures["fps"],
            "machine_busy_cores": machine_s / (last.at_s - first.at_s),
            "consumer_mb": Usage.of([one.pid for one in group]).memory_bytes / len(group) / _MB,
        }


def _wait_for_shares(group: Sequence[ConsumerProcess], partitions: int) -> None:
    """Waits until each has so many partitions: those who came first give some away, one after the other."""
    deadline_s = time.monotonic() + _SHARE_TIMEOUT_S
    while (shares := [consumer.partitions() for consumer in group]) != [partitions] * len(group):
        if time.monotonic() > deadline_s:
            raise FramebusError(f"the group shared its partitions as {shares}, and not {partitions} for each")
        time.sleep(_LOOK_INTERVAL_S)


def _together(readings: Sequence[Reading]) -> Reading:
    """One reading for all, of one broker."""
    return Reading(
        at_s=sum(reading.at_s for reading in readings) / len(readings),
        frames=sum(reading.frames for reading in readings),
        cpu_s=sum(reading.cpu_s for reading in readings),
        broker_cpu_s=readings[-1].broker_cpu_s,
    )


def account(settings: Settings, model: str, published: int) -> dict[str, float]:
    """Reads all detections of a model: frames, lost and duplicates, for frames with the ids from 0 on."""
    answers: Counter[str] = Counter()
    with closing(KafkaReader(settings.kafka)) as reader:
        reader.follow([detections_topic(model)], from_start=True)
        heard_s = time.monotonic()
        while not reader.is_at_end and time.monotonic() - heard_s < _SILENT_S:
            for record in reader.poll(_READ_RECORDS, _POLL_S):
                answers[orjson.loads(record.value)["id"]] += 1
                heard_s = time.monotonic()
    answered = sum(str(number) in answers for number in range(published))
    return {
        "frames": published,
        "lost": published - answered,
        "duplicates": answers.total() - answered,
    }

"""Pipelines at work on a memory bus, and what an outside reader sees of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from consumer.frame_trace import NewTrace, Untraced
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.pipeline import Pipeline
from consumer.turn import Turn
from framebus.bus import BusProducer, Delivery, Headers, OutgoingRecord, Partition, Record
from framebus.bus.memory import MemoryBus, MemoryConsumer, MemoryProducer
from framebus.environment import load_settings
from framebus.routes import load_routes
from framebus.settings import Settings
from framebus.topics import topic_specs
from tests.engines import ScriptedEngine, stored_model

MODEL = "test-model"


def settings_with(*routes: dict[str, Any], **consumer: object) -> Settings:
    """Settings for one model, or for the routes."""
    model = {} if routes else {"model": MODEL}
    return load_settings(
        routes=list(routes) or None, consumer={**model, "commit_interval_ms": 10, **consumer}
    )


def memory_bus(*models: str, frames: tuple[str, ...] = ("frames",)) -> MemoryBus:
    """A bus with the topics of an installation."""
    bus = MemoryBus()
    bus.create_topics(topic_specs(settings_with().topics, *(models or (MODEL,)), frames=frames))
    return bus


class Run:
    """A pipeline for one model, on a thread of its own."""

    def __init__(
        self,
        bus: MemoryBus,
        engine: ScriptedEngine,
        settings: Settings,
        *,
        model: str = MODEL,
        producer: BusProducer | None = None,
        consumer: MemoryConsumer | None = None,
        trace: NewTrace = Untraced,
        alone: Turn | None = None,
    ) -> None:
        self.model = model
        self.registry = CollectorRegistry()
        self.host = ModelHost(stored_model(model), engine)
        self.pipeline = Pipeline(
            settings=settings,
            routes=load_routes(settings),
            host=self.host,
            consumer=consumer or MemoryConsumer(bus, model),
            producer=MemoryProducer(bus) if producer is None else producer,
            metrics=ConsumerMetrics(self.registry, max_cameras=100),
            trace=trace,
            alone=alone,
        )
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.pipeline.run(self.stop)
        except BaseException as error:
            self.failure = error

    def start(self) -> None:
        """Starts the thread."""
        self.thread.start()

    def finish(self) -> None:
        """Tells the pipeline to stop and waits for it."""
        self.stop.set()
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric of this model."""
        return self.registry.get_sample_value(name, {"model": self.model, **labels}) or 0.0

    def dropped(self, reason: str, camera: str) -> float:
        """Frames of a camera that were left out."""
        return self.metric("framebus_dropped_frames_total", camera=camera, reason=reason)


@contextmanager
def at_work(run: Run) -> Iterator[Run]:
    """Runs a pipeline, and stops it at the end."""
    run.start()
    try:
        yield run
    finally:
        run.finish()


@contextmanager
def running(bus: MemoryBus, engine: ScriptedEngine | None = None, **consumer: object) -> Iterator[Run]:
    """Runs a pipeline for the one model."""
    with at_work(Run(bus, engine or ScriptedEngine(), settings_with(**consumer))) as run:
        yield run


def publish(
    bus: MemoryBus,
    value: bytes,
    *,
    topic: str = "frames",
    key: bytes | None = b"cam-1",
    headers: Headers = (),
) -> Delivery:
    """Publishes a frame."""
    return bus.append(OutgoingRecord(topic, key, value, headers))


def read(bus: MemoryBus, topic: str, count: int, timeout_s: float = 20) -> list[Record]:
    """Reads a topic from its start until there are so many records."""
    positions = dict.fromkeys(bus.partitions_of(topic), 0)
    records: list[Record] = []
    while len(records) < count:
        more = bus.read(positions, count - len(records), timeout_s)
        if not more:
            break
        records += more
    return records


def committed(bus: MemoryBus, model: str = MODEL) -> dict[Partition, int]:
    """What a model's group has committed, where there are frames."""
    stored = {partition: bus.committed(model, partition) for partition in all_read(bus)}
    return {partition: committed.offset if committed else 0 for partition, committed in stored.items()}


def all_read(bus: MemoryBus) -> dict[Partition, int]:
    """What would be committed if all frames were finished."""
    return {
        partition: bus.high_watermark(partition)
        for partition in bus.partitions_of("frames")
        if bus.high_watermark(partition) > 0
    }


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    """Looks until it is so."""
    waited = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("the condition did not come true")

"""The control side of a worker on a memory bus, and who talks to it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from consumer.control import Control
from consumer.metrics import ConsumerMetrics
from consumer.models import Models
from framebus.bus import OutgoingRecord, Partition, Record
from framebus.bus.memory import MemoryBus
from framebus.control import (
    DesiredState,
    LoadCommand,
    Overrides,
    WorkerStatus,
    load_record,
    overrides_record,
    read_status,
)
from framebus.topics import control_topic_specs
from tests.obedient_models import ObedientModels
from tests.pipelines import wait_until

COMMANDS, WORKERS = "framebus.commands", "framebus.workers"

_BEAT_S = 0.02


class AttentiveModels(Models):
    """Remembers what was wanted of it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.wanted: list[DesiredState] = []

    def want(self, desired: DesiredState) -> None:
        self.wanted.append(desired.copy())
        super().want(desired)


@dataclass
class ControlledWorker:
    """The control side of a worker, on a bus that may be any kind of memory bus."""

    obedient: ObedientModels
    bus: MemoryBus = field(default_factory=MemoryBus)
    beat_interval_s: float = _BEAT_S
    patience_s: float = 60
    is_ready: bool = True
    stuck: str | None = None
    waiting: int = 0
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.obedient.settings(
            control={"beat_interval_s": self.beat_interval_s}, kafka={"patience_s": self.patience_s}
        )
        self.metrics = ConsumerMetrics(CollectorRegistry(), max_cameras=10)
        self.models = AttentiveModels(settings, self.metrics, available_bytes=lambda: 2**50)
        self.topics = settings.topics
        self.control = Control(
            settings=settings,
            bus=self.bus,
            models=self.models,
            metrics=self.metrics,
            address="http://127.0.0.1:9101",
            is_ready=lambda: self.is_ready,
            is_stuck=lambda: self.stuck,
            waiting=lambda: self.waiting,
        )
        self.stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def catch_up(self) -> None:
        self.control.catch_up(self.stop)

    def start(self, *, with_models: bool = False) -> None:
        self._start(self.control.run)
        if with_models:
            self._start(self.models.run)

    def _start(self, run: Callable[[threading.Event], None]) -> None:
        def guarded() -> None:
            try:
                run(self.stop)
            except BaseException as error:
                self.failures.append(error)

        self._threads.append(threading.Thread(target=guarded, daemon=True))
        self._threads[-1].start()

    def join(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(timeout=20)
            assert not thread.is_alive()

    def command(self, *records: OutgoingRecord) -> None:
        """Says something on the topic of commands, as the control API does."""
        self.bus.create_topics(control_topic_specs(self.topics))
        for record in records:
            assert self.bus.append(record).error is None

    def said(self) -> list[Record]:
        """All that it said so far."""
        return self.bus.read({Partition(WORKERS, 0): 0}, 100_000, 0)

    def beats(self) -> list[WorkerStatus]:
        return [read_status(record) for record in self.said() if record.value]

    def until_beats(self, count: int) -> list[WorkerStatus]:
        """Waits for so many more beats, and returns those."""
        before = len(self.beats())
        wait_until(lambda: len(self.beats()) >= before + count)
        return self.beats()[before:]


@contextmanager
def at_work(worker: ControlledWorker, *, with_models: bool = False) -> Iterator[ControlledWorker]:
    worker.catch_up()
    worker.start(with_models=with_models)
    try:
        yield worker
    finally:
        worker.join()
    assert worker.failures == []


def load(model: str, *, loaded: bool = True, generation: int = 0) -> OutgoingRecord:
    return load_record(COMMANDS, model, LoadCommand(loaded=loaded, generation=generation))


def override(model: str, **thresholds: Any) -> OutgoingRecord:
    return overrides_record(COMMANDS, model, Overrides(**thresholds))

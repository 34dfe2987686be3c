"""Consumer processes that a frame kills: pipelines of which nothing reaches the memory bus from then on."""

import threading
from collections.abc import Callable, Mapping, Sequence

from consumer.turn import Turn
from framebus.bus import Membership, Partition, Record
from framebus.bus.memory import MemoryBus, MemoryConsumer, MemoryProducer
from framebus.detections import Detections
from framebus.frames import Image
from framebus.settings import Settings
from tests.engines import ScriptedEngine
from tests.pipelines import MODEL, Run
from tests.transactions import MemoryTransactionalProducer


class Killed(BaseException):
    """The process is not there any more."""


class Process:
    """One process: what is in it ends all at once.

    Args:
        bus: The bus.
        delivery: As in the settings.
    """

    def __init__(self, bus: MemoryBus, delivery: str) -> None:
        self.bus = bus
        self._delivery = delivery
        self._is_dead = threading.Event()
        self._alone = Turn()

    def run(
        self,
        settings: Settings,
        *,
        model: str = MODEL,
        engine: ScriptedEngine | None = None,
        kills: Callable[[Image], bool] = lambda _: False,
    ) -> Run:
        """A pipeline of the process; without an engine, one that some pictures kill the process in."""
        producer: MemoryProducer
        producer = _Transactions(self, model) if self._delivery == "exactly_once" else _Producer(self)
        return Run(
            self.bus,
            engine or _Engine(self, kills),
            settings,
            model=model,
            producer=producer,
            consumer=_Consumer(self, model),
            alone=self._alone,
        )

    def die(self) -> None:
        """Nothing in it does anything any more."""
        self._is_dead.set()

    def check(self) -> None:
        """Ends the thread of a process that is dead."""
        if self._is_dead.is_set():
            raise Killed


class _Engine(ScriptedEngine):
    def __init__(self, process: Process, kills: Callable[[Image], bool]) -> None:
        super().__init__()
        self._process = process
        self._kills = kills

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        if any(self._kills(image) for image in images):
            self._process.die()
        self._process.check()
        return super().detect(images, least_score)


class _Consumer(MemoryConsumer):
    def __init__(self, process: Process, group_id: str) -> None:
        super().__init__(process.bus, group_id)
        self._process = process

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        self._process.check()
        return super().poll(max_records, timeout_s)

    def commit(self, offsets: Mapping[Partition, int], note: str = "") -> None:
        self._process.check()
        super().commit(offsets, note)


class _Producer(MemoryProducer):
    def __init__(self, process: Process) -> None:
        super().__init__(process.bus)
        self._process = process

    def poll(self, timeout_s: float) -> None:
        self._process.check()
        super().poll(timeout_s)


class _Transactions(MemoryTransactionalProducer):
    def __init__(self, process: Process, group_id: str) -> None:
        super().__init__(process.bus, group_id)
        self._process = process

    def commit(self, offsets: Mapping[Partition, int], membership: Membership) -> None:
        self._process.check()
        super().commit(offsets, membership)

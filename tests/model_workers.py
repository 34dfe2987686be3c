"""The models of a worker at work, and what is desired of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from consumer.inference import EngineCall, Inference, Picture
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost, Result
from consumer.models import Models
from framebus.bus import Partition, Record
from framebus.control import DesiredState, LoadCommand, ModelStatus, Overrides, load_record, overrides_record
from framebus.detections import Detections
from tests.obedient_models import ObedientEngine, ObedientModels
from tests.pictures import picture
from tests.pipelines import wait_until

PLENTY = 2**50


class ModelWorker:
    """The models of a worker, and what is desired of them."""

    def __init__(
        self,
        obedient: ObedientModels,
        available_bytes: Callable[[], int] = lambda: PLENTY,
        engine_name: str | None = None,
    ) -> None:
        self.obedient = obedient
        self.registry = CollectorRegistry()
        self.models = Models(
            obedient.settings(),
            ConsumerMetrics(self.registry, max_cameras=10),
            available_bytes=available_bytes,
            engine_name=engine_name,
        )
        self.failures: list[BaseException] = []
        self.desired = DesiredState()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.models.run(self._stop)
        except BaseException as error:
            self.failures.append(error)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        for engines in self.obedient.made.values():
            for engine in engines:
                engine.gate.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=20)
            assert not self._thread.is_alive()
        self.models.close()
        assert self.failures == []

    def want(
        self,
        model: str | None = None,
        *,
        loaded: bool = True,
        generation: int = 0,
        overrides: Overrides | None = None,
    ) -> None:
        """Changes what is desired of one model, as the topic of commands would."""
        if model is not None and overrides is not None:
            self._apply(overrides_record("commands", model, overrides))
        elif model is not None:
            self._apply(load_record("commands", model, LoadCommand(loaded=loaded, generation=generation)))
        self.models.want(self.desired)

    def _apply(self, record: Any) -> None:
        self.desired.apply(Record(Partition(record.topic, 0), 0, 0, record.key, record.value or b""))

    def status(self, model: str) -> ModelStatus | None:
        return next((one for one in self.models.statuses() if one.name == model), None)

    def until(self, model: str, condition: Callable[[ModelStatus], bool]) -> ModelStatus:
        """Waits until the status of a model is such."""
        found: list[ModelStatus] = []

        def holds() -> bool:
            status = self.status(model)
            if status is not None and condition(status):
                found.append(status)
            return bool(found)

        wait_until(holds)
        return found[0]

    def load(self, model: str, generation: int = 0) -> ModelStatus:
        """Desires a model, and waits for what comes of it."""
        self.want(model, generation=generation)
        return self.until(model, lambda status: status.generation == generation and status.state != "loading")

    def detect(self, model: str) -> tuple[Result, EngineCall]:
        """Runs a picture through a model."""
        answers: list[tuple[Result, EngineCall]] = []
        inference = self.models.serving(model)
        assert inference is not None
        asked = Picture(picture(), lambda result, call: answers.append((result, call)), is_urgent=True)
        assert inference.put(asked)
        wait_until(lambda: bool(answers))
        return answers[0]

    def objects(self, model: str) -> int:
        """How many objects a model finds in a picture."""
        result, _ = self.detect(model)
        assert isinstance(result, Detections)
        return len(result)

    def metric(self, name: str, model: str) -> float | None:
        return self.registry.get_sample_value(name, {"model": model})


def stage_of(host: ModelHost) -> Inference:
    """The engine stage that a pipeline would have."""
    return Inference(
        host=host, max_batch_delay_s=0, metrics=ConsumerMetrics(CollectorRegistry(), max_cameras=10)
    )


def loads(obedient: ObedientModels, model: str) -> int:
    """How often engines of a model were loaded."""
    return sum(engine.loaded for engine in obedient.made[model] if isinstance(engine, ObedientEngine))


@contextmanager
def at_work(obedient: ObedientModels, **options: Any) -> Iterator[ModelWorker]:
    worker = ModelWorker(obedient, **options)
    worker.start()
    try:
        yield worker
    finally:
        worker.close()

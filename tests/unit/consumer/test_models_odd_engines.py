from typing import Any

import pytest

from consumer.inference import Picture
from framebus.errors import DetectionError
from tests.engines import ScriptedEngine
from tests.model_workers import ModelWorker, at_work
from tests.obedient_models import ObedientEngine, ObedientModels
from tests.pictures import picture
from tests.pipelines import wait_until


@pytest.mark.parametrize(
    "odd", [RuntimeError("out of order"), KeyError("node"), MemoryError(), AssertionError()]
)
def test_an_engine_that_fails_oddly_at_its_load_ends_nothing(worker: ModelWorker, odd: Exception) -> None:
    worker.load("ssd")

    def fail() -> None:
        raise odd

    worker.obedient.make = lambda _: ObedientEngine(on_load=fail)
    reloaded = worker.load("ssd", 1)
    worker.obedient.add("other")
    failed = worker.load("other")

    assert reloaded.state == "loaded"
    assert failed.state == "failed"
    for status in (reloaded, failed):
        assert str(status.error).startswith(f"Error loading model: {type(odd).__name__}: ")
    assert worker.objects("ssd") == 1
    assert worker.failures == []


def test_an_engine_that_cannot_be_made_ends_nothing(worker: ModelWorker) -> None:
    def refuse(_: str) -> ScriptedEngine:
        raise TypeError("an engine takes two arguments")

    worker.obedient.make = refuse

    assert "TypeError" in str(worker.load("ssd").error)
    assert worker.failures == []


def test_an_engine_that_cannot_be_closed_ends_nothing(worker: ModelWorker) -> None:
    def fail() -> None:
        raise RuntimeError("the device is gone")

    worker.obedient.make = lambda _: ObedientEngine(on_close=fail)
    worker.load("ssd")
    reloaded = worker.load("ssd", 1)
    assert (reloaded.state, reloaded.error) == ("loaded", None)
    worker.want("ssd", loaded=False)
    wait_until(lambda: worker.status("ssd") is None)

    assert worker.load("ssd", 1).state == "loaded"
    assert worker.objects("ssd") == 1
    assert worker.failures == []


def test_an_engine_that_fails_oddly_on_a_picture_goes_on_serving(worker: ModelWorker) -> None:
    def odd(_: Any) -> bool:
        raise RuntimeError("out of order")

    engine = ObedientEngine(concurrency=2, poison=odd)
    worker.obedient.make = lambda _: engine
    worker.load("ssd")
    for _ in range(5):
        assert isinstance(worker.detect("ssd")[0], DetectionError)

    engine.poison = lambda _: False
    assert worker.objects("ssd") == 1


def test_an_engine_that_hangs_is_told_of_and_holds_up_no_end(obedient: ObedientModels) -> None:
    obedient.add("ssd")
    with at_work(obedient) as worker:
        worker.load("ssd")
        [engine] = obedient.made["ssd"]
        engine.gate.clear()
        inference = worker.models.serving("ssd")
        assert inference is not None
        assert worker.models.longest_call_s == 0
        inference.put(Picture(picture(), lambda *_: None, is_urgent=True))

        wait_until(lambda: worker.models.longest_call_s > 0.05)
        engine.gate.set()
        wait_until(lambda: worker.models.longest_call_s == 0)

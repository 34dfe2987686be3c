import threading
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import pytest

from consumer.model_host import Detected, ModelHost
from framebus.detections import Detections, Thresholds
from framebus.errors import DetectionError
from framebus.frames import Image
from tests.engines import ScriptedEngine, stored_model
from tests.pictures import picture
from tests.pipelines import wait_until

OLD = stored_model()
NEW = replace(OLD, version="ba9876543210", labels={1: "bicycle"})
ANY = Thresholds(0, 10)
NONE = Thresholds(95, 10)


class Call:
    """An engine call on a thread of its own."""

    def __init__(self, host: ModelHost, pictures: int = 1) -> None:
        self.detected: list[Detected] = []
        self._thread = threading.Thread(target=self._run, args=(host, pictures), daemon=True)
        self._thread.start()

    def _run(self, host: ModelHost, pictures: int) -> None:
        self.detected.append(host.detect([picture()] * pictures))

    def result(self) -> Detected:
        self._thread.join(timeout=20)
        [detected] = self.detected
        return detected


@dataclass
class BusyEngine(ScriptedEngine):
    """Counts the calls that run at the same time, and those that began."""

    began: int = 0
    running: int = 0
    most: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def detect(self, images, least_score=0.0):  # type: ignore[no-untyped-def]
        with self._lock:
            self.began += 1
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return super().detect(images, least_score)
        finally:
            with self._lock:
                self.running -= 1


def busy_engine(**attributes: object) -> BusyEngine:
    """An engine whose calls wait at its gate."""
    engine = BusyEngine(**attributes)  # type: ignore[arg-type]
    engine.gate.clear()
    return engine


def calls_of(host: ModelHost) -> int:
    """Calls in flight, those that wait for their turn among them; nothing else shows when they have come."""
    return host._running.calls


def found(detected: Detected) -> list[int]:
    return [len(result) for result in detected.results if isinstance(result, Detections)]


def test_a_model_is_in_force_as_it_stands_in_the_repository() -> None:
    host = ModelHost(OLD, ScriptedEngine(preferred_batch_size=3, concurrency=2, device="GPU:0"))

    assert (host.in_force.name, host.in_force.version) == ("test-model", "0123456789ab")
    assert host.in_force.thresholds == Thresholds(50, 10)
    assert host.in_force.labels == {1: "person"}
    assert (host.batch_size, host.concurrency, host.device) == (3, 2, "GPU:0")
    assert host.batch_key(picture(64, 48)) == (48, 64, 3)


def test_thresholds_hold_from_the_next_call_on() -> None:
    host = ModelHost(OLD, ScriptedEngine())
    assert found(host.detect([picture()])) == [1]

    host.set_thresholds(NONE)
    after = host.detect([picture()])

    assert found(after) == [0]
    assert after.model.thresholds == NONE
    assert after.model.version == OLD.version


def test_a_call_in_flight_keeps_the_thresholds_it_began_with() -> None:
    engine = busy_engine()
    host = ModelHost(OLD, engine)
    call = Call(host)
    wait_until(lambda: engine.began == 1)

    host.set_thresholds(NONE)
    engine.gate.set()
    detected = call.result()

    assert found(detected) == [1]
    assert detected.model.thresholds == OLD.thresholds


def test_a_call_in_flight_keeps_version_labels_and_thresholds_when_another_version_comes() -> None:
    old, new = busy_engine(), ScriptedEngine()
    host = ModelHost(OLD, old)
    call = Call(host)
    wait_until(lambda: old.began == 1)

    host.replace(NEW, new, NONE)
    after = host.detect([picture()])
    old.gate.set()
    before = call.result()

    assert (before.model.version, before.model.labels, before.model.thresholds) == (
        OLD.version,
        {1: "person"},
        OLD.thresholds,
    )
    assert found(before) == [1]
    assert (after.model.version, after.model.labels, after.model.thresholds) == (
        NEW.version,
        {1: "bicycle"},
        NONE,
    )
    assert found(after) == [0]
    assert host.in_force == after.model


def test_an_engine_that_was_replaced_is_closed_once_after_its_last_call() -> None:
    old, new = busy_engine(concurrency=3), ScriptedEngine()
    host = ModelHost(OLD, old)
    calls = [Call(host) for _ in range(3)]
    wait_until(lambda: old.began == 3)

    host.replace(NEW, new, ANY)
    assert old.closed == 0
    old.gate.set()
    for call in calls:
        assert found(call.result()) == [1]  # which the engine refuses once it is closed

    assert (old.closed, new.closed) == (1, 0)


def test_an_engine_that_nobody_uses_is_closed_as_soon_as_it_is_replaced() -> None:
    old, new = ScriptedEngine(), ScriptedEngine()
    host = ModelHost(OLD, old)
    host.detect([picture()])

    host.replace(NEW, new, ANY)
    host.detect([picture()])

    assert (old.closed, new.closed) == (1, 0)


def test_a_call_that_waits_for_its_turn_ends_well_on_the_engine_it_was_for() -> None:
    old, new = busy_engine(concurrency=1), ScriptedEngine()
    host = ModelHost(OLD, old)
    calls = [Call(host), Call(host)]
    wait_until(lambda: old.began == 1)
    wait_until(lambda: calls_of(host) == 2)

    host.replace(NEW, new, ANY)
    old.gate.set()

    assert [call.result().model.version for call in calls] == [OLD.version] * 2
    assert old.closed == 1
    assert new.calls == []


def test_no_more_calls_run_at_once_than_the_newer_engine_takes() -> None:
    old, new = ScriptedEngine(concurrency=4), busy_engine(concurrency=2)
    host = ModelHost(OLD, old)
    host.replace(NEW, new, ANY)
    calls = [Call(host) for _ in range(4)]
    wait_until(lambda: calls_of(host) == 4)
    wait_until(lambda: new.began == 2)

    new.gate.set()
    for call in calls:
        call.result()

    assert new.most == 2
    assert len(new.calls) == 4


def test_replacing_again_and_again_while_calls_run_closes_each_engine_once() -> None:
    engines = [BusyEngine(concurrency=3) for _ in range(30)]
    versions = [replace(OLD, version=f"{number:012d}") for number in range(30)]
    host = ModelHost(versions[0], engines[0])
    stop = threading.Event()
    failures: list[BaseException] = []
    seen: set[str] = set()

    def call() -> None:
        try:
            while not stop.is_set():
                detected = host.detect([picture()] * 2)
                assert found(detected) == [1, 1]
                seen.add(detected.model.version)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for model, engine in zip(versions[1:], engines[1:], strict=True):
        host.replace(model, engine, ANY)
        wait_until(lambda engine=engine: engine.calls or bool(failures))  # type: ignore[misc]
    stop.set()
    for thread in threads:
        thread.join(timeout=20)
    host.close()

    assert failures == []
    assert [engine.closed for engine in engines] == [1] * 30
    assert seen >= {model.version for model in versions[1:]}


@dataclass
class OddEngine(ScriptedEngine):
    """Its device cannot be freed."""

    def close(self) -> None:
        super().close()
        raise RuntimeError("the device is gone")


def test_an_engine_that_cannot_be_closed_keeps_no_newer_one_from_serving() -> None:
    host = ModelHost(OLD, OddEngine())

    host.replace(NEW, ScriptedEngine(), ANY)

    assert host.detect([picture()]).model.version == NEW.version


def test_an_engine_that_cannot_be_closed_spoils_no_call_of_its_own() -> None:
    old = OddEngine()
    old.gate.clear()
    host = ModelHost(OLD, old)
    call = Call(host)
    wait_until(lambda: calls_of(host) == 1)
    host.replace(NEW, ScriptedEngine(), ANY)

    old.gate.set()

    assert found(call.result()) == [1]
    assert old.closed == 1


@dataclass
class ResizingEngine(ScriptedEngine):
    """Takes pictures of any size in one call."""

    def batch_key(self, image: Image) -> Hashable:
        return "any"


def test_pictures_that_were_put_together_for_the_old_engine_are_kept_apart_for_the_new_one() -> None:
    host = ModelHost(OLD, ResizingEngine())
    batch = [picture(64, 48), picture(32, 32), picture(64, 48)]
    assert len({host.batch_key(image) for image in batch}) == 1
    new = ScriptedEngine()
    host.replace(NEW, new, ANY)

    detected = host.detect(batch)

    assert [
        (result.width, result.height) for result in detected.results if isinstance(result, Detections)
    ] == [(64, 48), (32, 32), (64, 48)]


def test_a_picture_that_breaks_its_call_fails_alone() -> None:
    dark = picture(seed=3)
    host = ModelHost(OLD, ScriptedEngine(poison=lambda image: bool((image == dark).all())))

    results = host.detect([picture(), dark, picture()]).results

    assert [isinstance(result, DetectionError) for result in results] == [False, True, False]


@dataclass
class FailingEngine(ScriptedEngine):
    """Fails in a way that an engine should not."""

    def detect(self, images, least_score=0.0):  # type: ignore[no-untyped-def]
        raise RuntimeError("out of order")


def test_an_engine_that_is_out_of_order_is_closed_as_well_when_it_is_replaced() -> None:
    old = FailingEngine()
    host = ModelHost(OLD, old)
    with pytest.raises(RuntimeError, match="out of order"):
        host.detect([picture()])

    host.replace(NEW, ScriptedEngine(), ANY)

    assert old.closed == 1

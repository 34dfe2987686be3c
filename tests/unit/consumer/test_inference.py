import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry

from consumer.inference import EngineCall, Inference, Picture
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost, Result
from framebus.detections import Detections, Thresholds
from framebus.errors import DetectionError
from framebus.frames import Image
from tests.engines import ScriptedEngine, stored_model
from tests.pictures import picture
from tests.pipelines import wait_until

MODEL = stored_model()


@dataclass
class Asked:
    """A picture that was queued, and its answer."""

    image: Image
    is_urgent: bool = False
    answers: list[tuple[Result, EngineCall]] = field(default_factory=list)
    picture: Picture = field(init=False)

    def __post_init__(self) -> None:
        self.picture = Picture(
            self.image, lambda result, call: self.answers.append((result, call)), is_urgent=self.is_urgent
        )

    @property
    def result(self) -> Result:
        wait_until(lambda: bool(self.answers))
        [(result, _)] = self.answers
        return result

    @property
    def call(self) -> EngineCall:
        wait_until(lambda: bool(self.answers))
        [(_, call)] = self.answers
        return call


class Stage:
    """An engine stage, and what it tells."""

    def __init__(self, engine: ScriptedEngine, *, max_batch_delay_s: float = 0.0) -> None:
        self.registry = CollectorRegistry()
        self.host = ModelHost(MODEL, engine)
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.failures: list[BaseException] = []
        self.inference = Inference(
            host=self.host,
            max_batch_delay_s=max_batch_delay_s,
            metrics=ConsumerMetrics(self.registry, max_cameras=10),
            begins=self.begun.append,
            ended=lambda pictures, _: self.ended.append(pictures),
        )
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(engine.concurrency)]

    def _run(self) -> None:
        try:
            self.inference.run()
        except BaseException as error:
            self.failures.append(error)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def ask(self, image: Image | None = None, **options: Any) -> Asked:
        asked = Asked(picture() if image is None else image, **options)
        assert self.inference.put(asked.picture)
        return asked

    def join(self) -> None:
        self.inference.close()
        for thread in self._threads:
            thread.join(timeout=20)
            assert not thread.is_alive()


@contextmanager
def at_work(stage: Stage) -> Iterator[Stage]:
    stage.start()
    try:
        yield stage
    finally:
        stage.join()


def sizes(asked: list[Asked]) -> list[tuple[int, int]]:
    return [(one.result.width, one.result.height) for one in asked if isinstance(one.result, Detections)]


def test_each_picture_gets_its_own_answer_and_the_call_it_was_in() -> None:
    stage = Stage(ScriptedEngine(preferred_batch_size=2))
    asked = [stage.ask(picture(*size)) for size in ((64, 48), (32, 32), (64, 48))]

    with at_work(stage):
        assert sizes(asked) == [(64, 48), (32, 32), (64, 48)]

    assert [one.call.batch_size for one in asked] == [2, 1, 2]
    assert asked[0].call is asked[2].call
    assert asked[0].call.model.version == MODEL.version
    assert asked[0].call.call_s >= 0
    assert (stage.inference.calls, stage.inference.pictures) == (2, 3)


def test_calls_tell_how_many_frames_of_streams_are_in_them() -> None:
    stage = Stage(ScriptedEngine(preferred_batch_size=4))
    for is_urgent in (False, True, False):
        stage.ask(is_urgent=is_urgent)

    with at_work(stage):
        pass

    assert stage.begun == [2]
    assert stage.ended == [3]


def test_what_is_queued_is_answered_before_the_end_and_nothing_after_it() -> None:
    stage = Stage(ScriptedEngine(), max_batch_delay_s=1000)
    asked = [stage.ask(), stage.ask(is_urgent=True)]
    stage.start()
    stage.join()

    assert len(sizes(asked)) == 2
    late = Asked(picture(), is_urgent=True)
    assert not stage.inference.put(late.picture)
    assert late.answers == []


def test_a_picture_that_nobody_waits_for_any_more_costs_no_engine_call() -> None:
    engine = ScriptedEngine()
    stage = Stage(engine)
    gone, wanted = stage.ask(is_urgent=True), stage.ask(is_urgent=True)

    stage.inference.discard(gone.picture)
    with at_work(stage):
        assert isinstance(wanted.result, Detections)

    assert engine.calls == [1]
    assert gone.answers == []


def test_a_newer_engine_gets_batches_of_the_size_it_likes() -> None:
    stage = Stage(ScriptedEngine(preferred_batch_size=1))
    newer = ScriptedEngine(preferred_batch_size=3)
    with at_work(stage):
        stage.ask()
        wait_until(lambda: stage.inference.calls == 1)
        stage.host.replace(replace(MODEL, version="new"), newer, Thresholds(0, 10))
        newer.gate.clear()
        first = stage.ask()  # still a batch of one; the size is asked for after it
        wait_until(lambda: len(stage.inference) == 0)
        asked = [stage.ask() for _ in range(3)]
        newer.gate.set()

        assert first.call.model.version == "new"
        assert [one.call.batch_size for one in asked] == [3, 3, 3]


def test_the_longest_call_is_told_while_it_runs() -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    stage = Stage(engine)
    assert stage.inference.longest_call_s == 0

    with at_work(stage):
        stage.ask()
        wait_until(lambda: stage.inference.longest_call_s > 0.05)
        engine.gate.set()
        wait_until(lambda: stage.inference.longest_call_s == 0)


def test_the_pictures_of_a_batch_are_not_held_once_they_are_answered() -> None:
    stage = Stage(ScriptedEngine())
    answered = threading.Event()
    image = picture()
    reference = weakref.ref(image)
    with at_work(stage):
        stage.inference.put(Picture(image, lambda *_: answered.set()))
        del image
        assert answered.wait(20)

        wait_until(lambda: reference() is None)


@dataclass
class OddEngine(ScriptedEngine):
    """Fails on dark pictures in a way that an engine should not."""

    def detect(self, images, least_score=0.0):  # type: ignore[no-untyped-def]
        found = super().detect(images, least_score)
        if any(not image.any() for image in images):
            raise RuntimeError("out of order")
        return found


DARK = picture() * 0


def test_an_engine_that_fails_on_a_picture_of_its_own_tells_who_sent_it_and_goes_on() -> None:
    stage = Stage(OddEngine())
    with at_work(stage):
        result = stage.ask(DARK, is_urgent=True).result
        assert isinstance(result, DetectionError)
        assert "RuntimeError: out of order" in str(result)

        assert isinstance(stage.ask(is_urgent=True).result, Detections)
        assert stage.inference.longest_call_s == 0
    assert stage.failures == []


def test_an_odd_picture_spoils_neither_the_frames_of_streams_nor_the_pictures_beside_it() -> None:
    stage = Stage(OddEngine(preferred_batch_size=8))
    frames = [stage.ask() for _ in range(2)]
    odd = stage.ask(DARK, is_urgent=True)
    beside = stage.ask(is_urgent=True)

    with at_work(stage):
        assert isinstance(odd.result, DetectionError)
        assert len(sizes([*frames, beside])) == 3

    assert stage.failures == []
    assert stage.begun == [2], "each frame begins once"


def test_a_frame_of_a_stream_that_an_engine_fails_on_ends_the_stage() -> None:
    stage = Stage(OddEngine(preferred_batch_size=8))
    frame, beside = stage.ask(DARK), stage.ask(is_urgent=True)
    stage.start()
    wait_until(lambda: bool(stage.failures))

    assert [str(failure) for failure in stage.failures] == ["out of order"]
    assert frame.answers == [], "it is on the bus still, and read again"
    assert beside.answers == []


def test_engine_calls_are_counted_by_model() -> None:
    stage = Stage(ScriptedEngine(preferred_batch_size=2))
    for _ in range(3):
        stage.ask()
    with at_work(stage):
        pass

    def metric(name: str) -> float | None:
        return stage.registry.get_sample_value(name, {"model": "test-model"})

    assert metric("framebus_batch_size_frames_sum") == 3
    assert metric("framebus_inference_seconds_count") == 2
    assert metric("framebus_batch_wait_seconds_count") == 3

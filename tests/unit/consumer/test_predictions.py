import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consumer.inference import Inference
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.predictions import PredictionRefusedError, Predictions
from framebus import images
from framebus.detections import Thresholds
from framebus.environment import load_settings
from framebus.errors import DetectionError, FrameTooLargeError, UndecodableFrameError
from framebus.wire import detections_from_json
from tests.engines import ScriptedEngine, stored_model
from tests.pictures import jpeg
from tests.pipelines import wait_until

MODEL = stored_model("ssd")
PATIENCE_S = 60.0


class Worker:
    """Predictions of one model, with its engine stage at work."""

    def __init__(self, engine: ScriptedEngine | None = None, **limits: object) -> None:
        self.engine = engine or ScriptedEngine()
        self.host = ModelHost(MODEL, self.engine)
        self.inference: Inference | None = Inference(
            host=self.host,
            max_batch_delay_s=1000,  # which what comes by itself never waits for
            metrics=ConsumerMetrics(CollectorRegistry(), max_cameras=10),
        )
        self._stage = self.inference
        self.predictions = Predictions(
            load_settings(consumer=limits).consumer, lambda name: self.inference if name == "ssd" else None
        )
        self._threads = [
            threading.Thread(target=self.inference.run, daemon=True) for _ in range(self.engine.concurrency)
        ]
        for thread in self._threads:
            thread.start()

    async def ask(
        self, data: bytes | None = None, *, model: str = "ssd", patience_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        return await self.predictions.predict(model, data or jpeg(), time.monotonic() + patience_s)

    def predict(
        self, data: bytes | None = None, *, model: str = "ssd", patience_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        return asyncio.run(self.ask(data, model=model, patience_s=patience_s))

    def refusal(self, data: bytes | None = None, **options: Any) -> PredictionRefusedError:
        with pytest.raises(PredictionRefusedError) as refused:
            self.predict(data, **options)
        return refused.value

    def queued(self) -> int:
        """Pictures that hold memory in the queue of the engine."""
        return len(self._stage)

    def is_busy(self) -> bool:
        """Whether an engine call runs."""
        return self._stage.longest_call_s > 0

    def stop(self) -> None:
        self.engine.gate.set()
        self._stage.close()
        for thread in self._threads:
            thread.join(timeout=20)
            assert not thread.is_alive()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition)


def test_a_picture_is_answered_with_a_detection_message(worker: Worker) -> None:
    message = worker.predict(jpeg(64, 48))

    detections, labels = detections_from_json(message)
    assert (detections.width, detections.height) == (64, 48)
    assert detections.boxes.tolist() == [[0, 0, 64, 48]]
    assert detections.scores.tolist() == pytest.approx([0.9])
    assert labels == {1: "person"}
    assert message["model"] == {"name": "ssd", "version": MODEL.version, "confidence": 50, "predictions": 10}
    assert "source" not in message, "it stood on no topic"
    assert len(worker.predictions) == 0


def test_the_times_of_a_prediction_add_up(worker: Worker) -> None:
    worker.engine.delay_s = 0.05
    timing = worker.predict()["timing"]

    assert timing["batchSize"] == 1
    assert timing["inferMs"] >= 50
    assert timing["decodeMs"] > 0
    assert timing["waitMs"] >= 0
    parts_ms = timing["waitMs"] + timing["decodeMs"] + timing["inferMs"]
    assert timing["totalMs"] >= parts_ms - 0.1  # each is rounded


def test_thresholds_apply_as_they_do_on_the_stream(worker: Worker) -> None:
    worker.host.set_thresholds(Thresholds(95, 10))

    message = worker.predict()

    assert message["objects"] == []
    assert message["model"]["confidence"] == 95


def test_the_answer_names_the_version_that_made_it(worker: Worker) -> None:
    worker.host.replace(replace(MODEL, version="another"), ScriptedEngine(), Thresholds(0, 1))

    assert worker.predict()["model"] == {
        "name": "ssd",
        "version": "another",
        "confidence": 0,
        "predictions": 1,
    }


def test_pictures_that_wait_together_share_a_call_and_each_gets_its_own_answer() -> None:
    worker = Worker()
    worker.engine.gate.clear()

    async def many() -> list[dict[str, Any]]:
        first = asyncio.create_task(worker.ask(jpeg(32, 32)))
        await until(worker.is_busy)
        others = [asyncio.create_task(worker.ask(jpeg(64, 40 + n % 2, seed=n))) for n in range(8)]
        await until(lambda: worker.queued() == 8)
        worker.engine.gate.set()
        return list(await asyncio.gather(first, *others))

    messages = asyncio.run(many())
    worker.stop()

    assert [message["image"]["height"] for message in messages] == [32, *[40, 41] * 4]
    assert worker.engine.calls == [1, 4, 4]


@pytest.mark.parametrize("data", [b"no picture", jpeg()[:300], b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused_and_never_meets_the_engine(worker: Worker, data: bytes) -> None:
    with pytest.raises(UndecodableFrameError):
        worker.predict(data)

    assert worker.engine.calls == []
    assert len(worker.predictions) == 0


def test_a_picture_of_too_many_pixels_is_refused_by_its_header() -> None:
    worker = Worker(max_frame_pixels=1_000)
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (100_000).to_bytes(4, "big") * 2
    for data in (jpeg(64, 48), header):
        with pytest.raises(FrameTooLargeError, match=r"pixels, the limit is 1000"):
            worker.predict(data)
    worker.stop()

    assert worker.engine.calls == []


def test_a_picture_that_the_engine_refuses_says_so() -> None:
    worker = Worker(ScriptedEngine(poison=lambda _: True))
    with pytest.raises(DetectionError, match="poisoned"):
        worker.predict()
    worker.stop()

    assert len(worker.predictions) == 0


def test_a_model_that_is_not_here_is_refused_before_anything_is_read(worker: Worker) -> None:
    refusal = worker.refusal(b"no picture", model="coco")

    assert refusal.reason == "not_loaded"
    assert "model coco is not loaded on this worker" in str(refusal)
    assert worker.predictions.serves("ssd")
    assert not worker.predictions.serves("coco")


def test_a_worker_that_stops_takes_no_more(worker: Worker) -> None:
    worker.predictions.close()

    assert worker.refusal().reason == "stopping"
    assert worker.refusal(model="coco").reason == "stopping"
    assert worker.engine.calls == []


@pytest.mark.parametrize(("is_stopping", "reason"), [(False, "not_loaded"), (True, "stopping")])
def test_a_model_that_is_unloaded_while_a_picture_is_decoded_refuses_it_at_once(
    monkeypatch: pytest.MonkeyPatch, is_stopping: bool, reason: str
) -> None:
    worker = Worker()
    decode = images.decode

    def unload_first(data: bytes, max_pixels: int) -> Any:
        worker.stop()
        worker.inference = None
        if is_stopping:
            worker.predictions.close()
        return decode(data, max_pixels)

    monkeypatch.setattr("framebus.images.decode", unload_first)
    began_s = time.monotonic()

    assert worker.refusal(patience_s=1_000).reason == reason
    assert time.monotonic() - began_s < 100
    assert len(worker.predictions) == 0


def test_what_the_engine_had_already_is_answered_while_the_worker_stops() -> None:
    worker = Worker()
    worker.engine.gate.clear()

    async def stop_meanwhile() -> dict[str, Any]:
        asked = asyncio.create_task(worker.ask())
        await until(worker.is_busy)
        worker.predictions.close()
        await asyncio.to_thread(worker.stop)
        return await asked

    assert len(asyncio.run(stop_meanwhile())["objects"]) == 1


def test_who_asks_hears_at_the_deadline_and_no_picture_is_left_in_the_queue() -> None:
    worker = Worker()
    worker.engine.gate.clear()

    async def ask_in_vain() -> None:
        first = asyncio.create_task(worker.ask())
        await until(worker.is_busy)
        behind = [asyncio.create_task(worker.ask(patience_s=0.2)) for _ in range(5)]
        refusals = await asyncio.gather(*behind, return_exceptions=True)
        assert [getattr(refusal, "reason", refusal) for refusal in refusals] == ["deadline"] * 5
        assert worker.queued() == 0, "an engine that hangs would keep them for ever"
        assert len(worker.predictions) == 1
        worker.engine.gate.set()
        await first

    asyncio.run(ask_in_vain())
    worker.stop()
    assert worker.engine.calls == [1], "nobody waits for the others"


@pytest.mark.parametrize("patience_s", [0, -5])
def test_a_deadline_that_is_over_is_told_at_once(worker: Worker, patience_s: float) -> None:
    worker.engine.gate.clear()

    assert worker.refusal(patience_s=patience_s).reason == "deadline"


def test_a_request_that_is_given_up_leaves_nothing_behind() -> None:
    worker = Worker()
    worker.engine.gate.clear()

    async def give_up() -> None:
        tasks = [asyncio.create_task(worker.ask())]
        await until(worker.is_busy)
        tasks += [asyncio.create_task(worker.ask()) for _ in range(2)]
        await until(lambda: worker.queued() == 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(worker.predictions) == 0
        assert worker.queued() == 0

    asyncio.run(give_up())
    worker.stop()


def test_more_predictions_than_may_wait_are_refused_and_room_comes_back() -> None:
    worker = Worker(max_waiting_predictions=2)
    worker.engine.gate.clear()

    async def too_many() -> None:
        waiting = [asyncio.create_task(worker.ask()) for _ in range(2)]
        await until(lambda: len(worker.predictions) == 2)
        with pytest.raises(PredictionRefusedError, match="2 predictions wait on this worker") as refused:
            await worker.ask()
        assert refused.value.reason == "busy"
        worker.engine.gate.set()
        await asyncio.gather(*waiting)
        await worker.ask()

    asyncio.run(too_many())
    worker.stop()


def test_decoded_pictures_are_bounded_in_bytes_but_one_always_fits() -> None:
    size_bytes = 1000 * 1000 * 3
    worker = Worker(max_decoded_bytes=2**20)
    worker.engine.gate.clear()
    large = jpeg(1000, 1000)
    assert size_bytes > 2**20

    async def ask() -> None:
        first = asyncio.create_task(worker.ask(large))
        await until(lambda: len(worker.predictions) == 1)
        with pytest.raises(PredictionRefusedError) as refused:
            await worker.ask(large)
        assert refused.value.reason == "busy"
        worker.engine.gate.set()
        await first
        await worker.ask(large)

    asyncio.run(ask())
    worker.stop()


def test_pictures_that_are_refused_give_their_room_back() -> None:
    worker = Worker(max_waiting_predictions=1, max_decoded_bytes=2**20)
    for data in (jpeg(1000, 1000)[:-200], b"\xff\xd8\xff nothing"):
        with pytest.raises(UndecodableFrameError):
            worker.predict(data)

    assert len(worker.predict(jpeg(1000, 1000))["objects"]) == 1
    worker.stop()

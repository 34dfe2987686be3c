import threading

import pytest

from consumer.inference import Picture
from consumer.model_host import Result
from framebus.control import DesiredState, ModelStatus, Overrides
from framebus.detections import Detections
from framebus.errors import ModelError
from tests.model_workers import ModelWorker, loads, stage_of
from tests.obedient_models import ObedientEngine, ObedientModels
from tests.pictures import picture
from tests.pipelines import wait_until


def test_a_worker_of_whom_nothing_is_desired_has_nothing_and_has_settled(worker: ModelWorker) -> None:
    wait_until(lambda: worker.models.has_settled)

    assert worker.models.statuses() == ()
    assert worker.models.serving("ssd") is None


def test_a_model_that_is_desired_is_loaded_and_serves(worker: ModelWorker) -> None:
    status = worker.load("ssd")

    assert status == ModelStatus(
        name="ssd",
        state="loaded",
        version=worker.detect("ssd")[1].model.version,
        config={"inference_engine_name": "obedient", "confidence": 50, "predictions": 10},
        device="CPU",
        engine="scripted",
        precision="f32",
    )
    assert worker.objects("ssd") == 1
    assert worker.metric("framebus_model_loaded", "ssd") == 1
    assert worker.metric("framebus_model_failed", "ssd") == 0


def test_a_model_that_is_desired_no_more_is_unloaded_and_its_engine_closed_once(worker: ModelWorker) -> None:
    worker.load("ssd")
    inference = worker.models.serving("ssd")
    assert inference is not None

    worker.want("ssd", loaded=False)
    wait_until(lambda: worker.status("ssd") is None)
    [engine] = worker.obedient.made["ssd"]
    wait_until(lambda: engine.closed == 1)

    assert worker.models.serving("ssd") is None
    assert not inference.put(Picture(picture(), lambda *_: None, is_urgent=True))
    wait_until(lambda: worker.metric("framebus_model_loaded", "ssd") == 0)


def test_a_model_may_come_back(worker: ModelWorker) -> None:
    for generation in range(3):
        assert worker.load("ssd", generation).state == "loaded"
        worker.want("ssd", loaded=False, generation=generation)
        wait_until(lambda: worker.status("ssd") is None)

    assert worker.load("ssd", 2).state == "loaded"
    assert worker.objects("ssd") == 1


def test_what_waits_for_an_engine_is_answered_before_its_model_is_unloaded(worker: ModelWorker) -> None:
    worker.load("ssd")
    [engine] = worker.obedient.made["ssd"]
    engine.gate.clear()
    inference = worker.models.serving("ssd")
    assert inference is not None
    answers: list[Result] = []
    for _ in range(20):
        asked = Picture(picture(), lambda result, _: answers.append(result), is_urgent=True)
        assert inference.put(asked)

    worker.want("ssd", loaded=False)
    wait_until(lambda: worker.models.serving("ssd") is None)
    assert engine.closed == 0
    engine.gate.set()
    wait_until(lambda: engine.closed == 1)

    assert [isinstance(answer, Detections) for answer in answers] == [True] * 20


def test_a_model_whose_command_was_deleted_is_unloaded(worker: ModelWorker) -> None:
    worker.load("ssd")

    worker.models.want(DesiredState())

    wait_until(lambda: worker.status("ssd") is None)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("missing", "Model not found: missing"),
        ("broken", "Invalid model configuration: "),
        ("strange", "Inference engine not found: nonesuch"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_failed_and_says_why(
    worker: ModelWorker, model: str, error: str
) -> None:
    worker.obedient.add("strange", inference_engine_name="nonesuch")
    worker.obedient.add("broken", confidence=1_000)

    status = worker.load(model, 4)

    assert (status.state, status.version, status.config, status.device) == ("failed", None, None, None)
    assert (status.engine, status.precision, status.fallback) == (None, None, None)
    assert str(status.error).startswith(error)
    assert worker.models.serving(model) is None
    assert worker.metric("framebus_model_loaded", model) == 0
    assert worker.metric("framebus_model_failed", model) == 1
    assert worker.load("ssd").state == "loaded", "it keeps no other model from loading"


def test_a_model_that_failed_is_forgotten_once_nobody_desires_it(worker: ModelWorker) -> None:
    worker.load("missing")

    worker.want("missing", loaded=False)

    wait_until(lambda: worker.status("missing") is None)
    wait_until(lambda: worker.metric("framebus_model_failed", "missing") == 0)


def test_a_status_is_told_of_while_a_model_loads(worker: ModelWorker) -> None:
    gate = threading.Event()
    worker.obedient.make = lambda _: ObedientEngine(on_load=gate.wait)  # type: ignore[arg-type]
    worker.want("ssd", generation=2)

    status = worker.until("ssd", lambda status: status.state == "loading")
    assert (status.version, status.generation, status.error) == (None, 0, None)
    assert worker.models.serving("ssd") is None
    gate.set()

    worker.until("ssd", lambda status: status.state == "loaded" and status.generation == 2)


def test_a_model_that_is_desired_no_more_while_it_loads_does_not_stay(worker: ModelWorker) -> None:
    gate = threading.Event()
    worker.obedient.make = lambda _: ObedientEngine(on_load=gate.wait)  # type: ignore[arg-type]
    worker.want("ssd")
    wait_until(lambda: "ssd" in worker.obedient.made)

    worker.want("ssd", loaded=False)
    gate.set()
    wait_until(lambda: worker.status("ssd") is None)

    wait_until(lambda: [engine.closed for engine in worker.obedient.made["ssd"]] == [1])


def test_all_that_is_desired_at_first_is_tried_before_it_has_settled(obedient: ObedientModels) -> None:
    for name in ("a", "b"):
        obedient.add(name)
    worker = ModelWorker(obedient)
    gate = threading.Event()
    obedient.make = lambda name: ObedientEngine(on_load=gate.wait if name == "b" else gate.is_set)  # type: ignore[arg-type]
    for name in ("a", "missing", "b"):
        worker.want(name)
    worker.start()
    wait_until(lambda: "b" in obedient.made)
    assert not worker.models.has_settled
    gate.set()
    wait_until(lambda: worker.models.has_settled)

    assert [(one.name, one.state) for one in worker.models.statuses()] == [
        ("a", "loaded"),
        ("b", "loaded"),
        ("missing", "failed"),
    ]
    worker.close()


def test_a_routed_model_is_loaded_at_once_and_stays_whatever_is_desired(obedient: ObedientModels) -> None:
    obedient.add("street")
    worker = ModelWorker(obedient)
    worker.want("street", loaded=False, generation=3)
    worker.want("street", overrides=Overrides(confidence=95))
    host = worker.models.load_routed("street")
    status = worker.status("street")
    assert status is not None
    assert status.state == "loading", "nothing runs it yet"
    worker.models.attach("street", stage_of(host))
    worker.start()
    wait_until(lambda: worker.models.has_settled)
    status = worker.status("street")

    assert status is not None
    assert (status.state, status.is_routed, status.generation) == ("loaded", True, 3)
    assert host.in_force.thresholds.confidence == 95
    assert len(obedient.made["street"]) == 1, "the generation was loaded already"
    worker.close()
    assert obedient.made["street"][0].closed == 1


def test_a_routed_model_that_cannot_be_loaded_is_refused_and_may_be_tried_again(
    obedient: ObedientModels,
) -> None:
    worker = ModelWorker(obedient)
    (obedient.directory / "street").mkdir()
    with pytest.raises(ModelError, match="frozen_inference_graph"):
        worker.models.load_routed("street")
    status = worker.status("street")
    assert status is not None
    assert (status.state, status.is_routed) == ("failed", True)

    (obedient.directory / "street").rmdir()
    obedient.add("street")
    worker.models.attach("street", stage_of(worker.models.load_routed("street")))
    status = worker.status("street")
    assert status is not None
    assert (status.state, status.error) == ("loaded", None)
    worker.close()


def test_models_are_checked_without_being_loaded(obedient: ObedientModels) -> None:
    obedient.add("good")
    obedient.add("strange", inference_engine_name="nonesuch")
    models = ModelWorker(obedient).models
    models.check("good")
    for name in ("strange", "missing", "../good", ""):
        with pytest.raises(ModelError):
            models.check(name)

    assert models.statuses() == ()
    assert loads(obedient, "good") == 0


def test_how_full_batches_are_is_told_since_the_last_time(worker: ModelWorker) -> None:
    worker.load("ssd")

    def fill() -> float | None:
        status = worker.status("ssd")
        assert status is not None
        return status.batch_fill

    assert fill() is None
    worker.detect("ssd")
    wait_until(lambda: worker.models.longest_call_s == 0)
    assert fill() == pytest.approx(1 / 8, abs=0.01)
    assert fill() is None

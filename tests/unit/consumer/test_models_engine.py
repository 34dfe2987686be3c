from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer.engines.engine import EngineReport
from tests.engines import ScriptedEngine
from tests.model_workers import ModelWorker, at_work
from tests.obedient_models import ENGINE, ObedientEngine, ObedientModels
from tests.pipelines import wait_until

AS_ASKED = EngineReport("openvino_detection")
FALLEN_BACK = EngineReport("tensorflow_detection", fallback="the graph cannot be cut: it has two stages")
IN_BF16 = EngineReport("openvino_detection", "bf16")


def runs_by(worker: ModelWorker, report: EngineReport) -> None:
    """Has engines that are made from now on report this."""
    worker.obedient.make = lambda _: ObedientEngine(report=report)


def infos(worker: ModelWorker) -> dict[tuple[str, str, str], float]:
    """The series of `framebus_engine_info`: model, engine and precision."""
    return {
        (sample.labels["model"], sample.labels["engine"], sample.labels["precision"]): sample.value
        for metric in worker.registry.collect()
        for sample in metric.samples
        if sample.name == "framebus_engine_info"
    }


def warnings(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["log_level"] == "warning"]


def test_what_runs_a_model_is_told_and_logged(worker: ModelWorker) -> None:
    runs_by(worker, AS_ASKED)

    with capture_logs() as lines:
        status = worker.load("ssd")

    assert (status.engine, status.precision, status.fallback) == ("openvino_detection", "f32", None)
    assert worker.metric("framebus_engine_fallback", "ssd") == 0
    assert infos(worker) == {("ssd", "openvino_detection", "f32"): 1}
    [loaded] = [line for line in lines if line["event"] == "model loaded"]
    assert (loaded["engine"], loaded["precision"], loaded["device"]) == ("openvino_detection", "f32", "CPU")
    assert warnings(lines) == []


def test_an_engine_that_was_asked_for_at_the_start_wins_over_the_one_of_the_config(
    obedient: ObedientModels,
) -> None:
    obedient.add("ssd", inference_engine_name="nonesuch")
    with at_work(obedient, engine_name=ENGINE) as worker:
        status = worker.load("ssd")

    assert status.config is not None
    assert (status.config["inference_engine_name"], status.overridden) == (ENGINE, ("inference_engine_name",))


def test_why_a_model_does_not_run_as_was_asked_is_told_and_logged(worker: ModelWorker) -> None:
    runs_by(worker, FALLEN_BACK)

    with capture_logs() as lines:
        status = worker.load("ssd")

    assert (status.state, status.error) == ("loaded", None), "it serves all the same"
    assert (status.engine, status.fallback) == ("tensorflow_detection", FALLEN_BACK.fallback)
    assert worker.metric("framebus_engine_fallback", "ssd") == 1
    [warning] = warnings(lines)
    assert (warning["model"], warning["why"]) == ("ssd", FALLEN_BACK.fallback)


def test_a_model_in_bf16_is_warned_of(worker: ModelWorker) -> None:
    runs_by(worker, IN_BF16)

    with capture_logs() as lines:
        status = worker.load("ssd")

    assert status.precision == "bf16"
    assert infos(worker) == {("ssd", "openvino_detection", "bf16"): 1}
    [warning] = warnings(lines)
    assert "bf16" in warning["event"]
    assert warning["model"] == "ssd"


@pytest.mark.parametrize(
    "after", [AS_ASKED, IN_BF16, FALLEN_BACK], ids=["as asked", "in bf16", "fallen back"]
)
@pytest.mark.parametrize("before", [AS_ASKED, FALLEN_BACK], ids=["as asked", "fallen back"])
def test_after_a_reload_nothing_is_left_of_what_was_told_of_the_engine_before(
    worker: ModelWorker, before: EngineReport, after: EngineReport
) -> None:
    worker.obedient.add("other")
    worker.load("other")
    runs_by(worker, before)
    worker.load("ssd")
    runs_by(worker, after)

    status = worker.load("ssd", 1)

    assert (status.engine, status.precision, status.fallback) == (
        after.engine,
        after.precision,
        after.fallback,
    )
    assert worker.metric("framebus_engine_fallback", "ssd") == (after.fallback is not None)
    assert infos(worker) == {("ssd", after.engine, after.precision): 1, ("other", "scripted", "f32"): 1}


def test_a_reload_that_fails_leaves_what_is_told_of_the_engine_in_force(worker: ModelWorker) -> None:
    runs_by(worker, FALLEN_BACK)
    worker.load("ssd")
    (worker.obedient.directory / "ssd" / "object-detection.pbtxt").unlink()
    runs_by(worker, AS_ASKED)

    status = worker.load("ssd", 1)

    assert (status.engine, status.fallback) == ("tensorflow_detection", FALLEN_BACK.fallback)
    assert worker.metric("framebus_engine_fallback", "ssd") == 1
    assert infos(worker) == {("ssd", "tensorflow_detection", "f32"): 1}


def test_nothing_is_told_of_an_engine_whose_model_is_unloaded(worker: ModelWorker) -> None:
    runs_by(worker, FALLEN_BACK)
    worker.load("ssd")

    worker.want("ssd", loaded=False)

    wait_until(lambda: worker.metric("framebus_engine_fallback", "ssd") == 0)
    assert infos(worker) == {}
    runs_by(worker, AS_ASKED)
    worker.load("ssd")
    assert infos(worker) == {("ssd", "openvino_detection", "f32"): 1}


class SilentEngine(ScriptedEngine):
    """Cannot say what runs its model."""

    __repr__ = object.__repr__  # a dataclass would ask for it

    def __getattribute__(self, name: str) -> Any:
        if name == "report":
            raise RuntimeError("no word")
        return super().__getattribute__(name)


def test_an_engine_that_does_not_say_what_runs_its_model_takes_no_place(worker: ModelWorker) -> None:
    before = worker.load("ssd")
    worker.obedient.write_graph("ssd", b"2")
    worker.obedient.make = lambda _: SilentEngine()

    status = worker.load("ssd", 1)

    assert (status.state, status.version) == ("loaded", before.version)
    assert str(status.error) == "Error loading model: RuntimeError: no word"
    assert worker.objects("ssd") == 1

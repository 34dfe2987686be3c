import json
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog

from framebus.control import ModelStatus, Overrides, overrides_record
from tests.model_workers import ModelWorker, at_work
from tests.obedient_models import ObedientEngine, ObedientModels
from tests.pipelines import wait_until


def test_overrides_are_in_force_at_once_and_shown_as_such(worker: ModelWorker) -> None:
    worker.load("ssd")
    worker.want("ssd", overrides=Overrides(confidence=95))

    assert worker.objects("ssd") == 0
    status = worker.status("ssd")
    assert status is not None
    assert status.config == {"inference_engine_name": "obedient", "confidence": 95, "predictions": 10}
    assert status.overridden == ("confidence",)

    worker.want("ssd", overrides=Overrides())
    assert worker.objects("ssd") == 1
    status = worker.status("ssd")
    assert status is not None
    assert (status.overridden, status.config and status.config["confidence"]) == ((), 50)


def test_overrides_are_in_force_while_another_model_takes_long_to_load(worker: ModelWorker) -> None:
    worker.load("ssd")
    worker.obedient.add("slow")
    gate = threading.Event()
    worker.obedient.make = lambda _: ObedientEngine(on_load=gate.wait)  # type: ignore[arg-type]
    worker.want("slow")
    wait_until(lambda: "slow" in worker.obedient.made)

    worker.want("ssd", overrides=Overrides(confidence=95))

    assert worker.objects("ssd") == 0
    gate.set()


def test_overrides_that_came_before_the_model_are_in_force_from_its_first_call_on(
    worker: ModelWorker,
) -> None:
    worker.want("ssd", overrides=Overrides(confidence=95, predictions=3))

    status = worker.load("ssd")

    assert status.overridden == ("confidence", "predictions")
    assert worker.objects("ssd") == 0


def test_overrides_outlive_reloads_and_win_over_a_new_config(worker: ModelWorker) -> None:
    worker.load("ssd")
    worker.want("ssd", overrides=Overrides(confidence=95))
    worker.obedient.write_config("ssd", confidence=10, predictions=4)
    worker.obedient.write_graph("ssd", b"2")

    status = worker.load("ssd", 1)

    assert status.config is not None
    assert (status.config["confidence"], status.config["predictions"]) == (95, 4)
    assert worker.objects("ssd") == 0
    worker.want("ssd", overrides=Overrides())
    assert worker.objects("ssd") == 1


def watched(worker: ModelWorker, model: str = "ssd") -> ModelStatus:
    """The status after config.json was looked at."""
    worker.models.watch_configs()
    status = worker.status(model)
    assert status is not None
    return status


def test_an_edited_config_is_in_force_without_a_reload(worker: ModelWorker) -> None:
    worker.load("ssd")
    worker.obedient.write_config("ssd", confidence=95, predictions=7, site="north")

    status = watched(worker)

    assert status.config == {
        "inference_engine_name": "obedient",
        "confidence": 95,
        "predictions": 7,
        "site": "north",
    }
    assert (status.config_error, status.overridden) == (None, ())
    assert worker.objects("ssd") == 0
    assert len(worker.obedient.made["ssd"]) == 1


@pytest.mark.parametrize("garbage", ["", "{", '{"confidence": 10}', "[]", '{"confidence": "high"}', "\0"])
def test_garbage_in_config_keeps_the_old_values_says_so_and_recovers(
    worker: ModelWorker, garbage: str
) -> None:
    before = worker.load("ssd")
    path = worker.obedient.directory / "ssd" / "config.json"
    path.write_text(garbage)
    for _ in range(2):
        status = watched(worker)
        assert str(status.config_error).startswith("Invalid model configuration: ")
        assert (status.config, status.state, status.error) == (before.config, "loaded", None)
        assert worker.metric("framebus_model_config_refused", "ssd") == 1
        assert worker.objects("ssd") == 1

    worker.want("ssd", overrides=Overrides(predictions=2))
    status = watched(worker)
    assert status.config_error is not None
    assert status.config is not None
    assert (status.config["confidence"], status.config["predictions"]) == (50, 2)

    worker.obedient.write_config("ssd", confidence=95)
    status = watched(worker)
    assert status.config_error is None
    assert worker.metric("framebus_model_config_refused", "ssd") == 0
    assert worker.objects("ssd") == 0


def test_a_config_that_is_wrong_troubles_nobody_once_its_model_is_unloaded(worker: ModelWorker) -> None:
    worker.load("ssd")
    (worker.obedient.directory / "ssd" / "config.json").write_text("{")
    assert watched(worker).config_error is not None

    worker.want("ssd", loaded=False)

    wait_until(lambda: worker.metric("framebus_model_config_refused", "ssd") == 0)


def test_a_config_or_a_folder_that_is_gone_keeps_the_old_values(worker: ModelWorker) -> None:
    worker.load("ssd")
    folder = worker.obedient.directory / "ssd"
    (folder / "config.json").unlink()
    assert "missing" in str(watched(worker).config_error)

    folder.rename(folder.with_name("elsewhere"))
    assert watched(worker).config_error is not None
    assert worker.objects("ssd") == 1

    folder.with_name("elsewhere").rename(folder)
    worker.obedient.write_config("ssd", confidence=95)
    assert watched(worker).config_error is None
    assert worker.objects("ssd") == 0


def test_a_config_that_is_edited_while_the_model_loads_is_in_force_after_it(worker: ModelWorker) -> None:
    worker.load("ssd")
    gate = threading.Event()
    worker.obedient.make = lambda _: ObedientEngine(on_load=gate.wait)  # type: ignore[arg-type]
    worker.want("ssd", generation=1)
    wait_until(lambda: len(worker.obedient.made["ssd"]) == 2)
    worker.obedient.write_config("ssd", confidence=95)
    watched(worker)
    gate.set()
    worker.until("ssd", lambda status: status.generation == 1)

    status = watched(worker)

    assert status.config is not None
    assert status.config["confidence"] == 95, "the load had read the file before"
    assert worker.objects("ssd") == 0


def test_garbage_that_came_while_the_model_loads_is_told_after_it(worker: ModelWorker) -> None:
    worker.load("ssd")
    gate = threading.Event()
    worker.obedient.make = lambda _: ObedientEngine(on_load=gate.wait)  # type: ignore[arg-type]
    worker.want("ssd", generation=1)
    wait_until(lambda: len(worker.obedient.made["ssd"]) == 2)
    (worker.obedient.directory / "ssd" / "config.json").write_text("{")
    assert watched(worker).config_error is not None
    gate.set()
    worker.until("ssd", lambda status: status.generation == 1)

    assert watched(worker).config_error is not None
    assert worker.metric("framebus_model_config_refused", "ssd") == 1


def test_a_model_that_comes_or_goes_while_all_are_told_of_new_thresholds_upsets_nobody(
    obedient: ObedientModels,
) -> None:
    """One thread goes through all models, and another takes one out."""
    names = [f"m{number}" for number in range(3)]
    for name in names:
        obedient.add(name)
    with at_work(obedient) as worker:
        for name in names:
            worker.load(name)
            worker.want(name, overrides=Overrides(confidence=20))
        looking, gone = threading.Event(), threading.Event()

        def meanwhile(_: Any, __: str, line: Any) -> Any:
            if line["event"] == "thresholds changed" and not looking.is_set():
                looking.set()
                gone.wait(0.5)  # it need not come to that: the other thread may be kept waiting
            return line

        structlog.configure(processors=[meanwhile, structlog.processors.JSONRenderer()])

        def unload() -> None:
            looking.wait(20)
            worker.models._unload(worker.models._models["m2"])
            gone.set()

        thread = threading.Thread(target=unload)
        thread.start()
        for name in names:
            worker._apply(overrides_record("commands", name, Overrides(confidence=30)))
        worker.models.want(worker.desired)
        thread.join(timeout=20)

    assert gone.is_set()


def test_a_config_of_its_own_stays_as_it_was_written(worker: ModelWorker) -> None:
    """Nobody but the user writes config.json."""
    path: Path = worker.obedient.directory / "ssd" / "config.json"
    before = path.read_bytes()
    worker.load("ssd")
    worker.want("ssd", overrides=Overrides(confidence=95, predictions=1))
    worker.load("ssd", 1)
    worker.want("ssd", loaded=False)
    wait_until(lambda: worker.status("ssd") is None)

    assert path.read_bytes() == before
    assert json.loads(before)["confidence"] == 50

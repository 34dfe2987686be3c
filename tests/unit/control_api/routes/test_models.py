import itertools
from pathlib import Path

import pytest

from control_api.models import model_uuid
from tests.pictures import jpeg
from tests.unit.control_api.clients import data, error
from tests.unit.control_api.conftest import Api, StartApi, StartWorker, write_model
from tests.unit.control_api.fake_worker import FakeWorker

OK = {"data": None, "error": "", "success": True}


def test_models_are_listed_with_what_workers_say_of_them(
    api: Api, worker: FakeWorker, models: Path, start_worker: StartWorker
) -> None:
    other = start_worker("worker-2")
    api.knows(worker, other)
    write_model(models, "wrong", "{ this is no JSON")
    worker.broken["cars"] = "no memory"
    api.http.get("/models/cars/load")

    listed = data(api.http.get("/models"))

    assert listed["models"] == ["cars", "people", "wrong"]
    assert listed["details"]["people"] == {
        "uuid": model_uuid("people"),
        "state": "loaded",
        "version": "people-0",
        "desired": False,
        "thresholds": {"confidence": 60, "predictions": 15},
        "overridden": [],
        "error": None,
        "config_error": None,
        "workers": {
            "worker-1": {
                "state": "loaded",
                "version": "people-0",
                "generation": 0,
                "error": None,
                "config_error": None,
                "device": "CPU",
                "engine": "tensorflow_detection",
                "precision": "f32",
                "fallback": None,
                "is_routed": True,
            }
        },
    }
    cars = listed["details"]["cars"]
    assert (cars["state"], cars["desired"], cars["error"]) == ("loaded", True, "no memory")
    assert {name: one["state"] for name, one in cars["workers"].items()} == {
        "worker-1": "failed",
        "worker-2": "loaded",
    }
    wrong = listed["details"]["wrong"]
    assert (wrong["state"], wrong["thresholds"]) == ("unloaded", None)
    assert wrong["config_error"].startswith("Invalid model configuration: ")


def test_why_a_model_does_not_run_on_the_engine_that_was_asked_for_is_listed(
    api: Api, worker: FakeWorker
) -> None:
    worker.fallback = "the graph cannot be cut"
    api.http.get("/models/people/load?force=true")

    on_worker = data(api.http.get("/models"))["details"]["people"]["workers"]["worker-1"]

    assert (on_worker["state"], on_worker["fallback"]) == ("loaded", "the graph cannot be cut")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("model", ["cars", model_uuid("cars")])
def test_a_model_is_loaded_on_every_worker(
    api: Api, worker: FakeWorker, start_worker: StartWorker, method: str, model: str
) -> None:
    other = start_worker("worker-2")
    api.knows(worker, other)

    response = api.http.request(method, f"/models/{model}/load")

    assert (response.status_code, response.json()) == (200, OK)
    assert [one.worker for one in api.plane.workers.with_model("cars")] == ["worker-1", "worker-2"]


def test_a_model_that_is_loaded_stays_as_it_is_unless_forced(api: Api) -> None:
    def version() -> str:
        return data(api.http.get("/models"))["details"]["cars"]["version"]  # type: ignore[no-any-return]

    api.http.get("/models/cars/load")
    api.http.get("/models/cars/load")
    api.http.get("/models/cars/load?force=false")
    assert version() == "cars-0"

    assert api.http.get("/models/cars/load?force=true").json() == OK
    assert version() == "cars-1"
    assert api.http.post("/models/cars/load?force=true").json() == OK
    assert version() == "cars-2"


def test_a_routed_model_is_reloaded_too(api: Api) -> None:
    assert api.http.get("/models/people/load?force=true").json() == OK

    assert data(api.http.get("/models"))["details"]["people"]["version"] == "people-1"


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("the graph has no tensor image_tensor", "Error loading model: the graph has no tensor image_tensor"),
        ("Invalid model configuration: config.json: confidence: no number", None),
        ("Inference engine not found: magic (model cars); installed: tensorflow_detection", None),
    ],
)
def test_why_a_model_cannot_be_loaded_is_said_in_words_that_clients_know(
    api: Api, worker: FakeWorker, why: str, words: str | None
) -> None:
    worker.broken["cars"] = why

    status, said = error(api.http.get("/models/cars/load"))

    assert status == 409
    assert said == f"{words or why} (worker worker-1)"


def test_a_failed_reload_keeps_the_old_one(api: Api, worker: FakeWorker) -> None:
    api.http.get("/models/cars/load")
    worker.broken["cars"] = "no memory for both"

    assert error(api.http.get("/models/cars/load?force=true")) == (
        409,
        "Error loading model: no memory for both (worker worker-1)",
    )

    cars = data(api.http.get("/models"))["details"]["cars"]
    assert (cars["state"], cars["version"], cars["error"]) == ("loaded", "cars-0", "no memory for both")
    # It serves, so there is nothing to load.
    assert api.http.get("/models/cars/load").json() == OK


def test_a_model_that_failed_is_loaded_once_it_was_mended(api: Api, worker: FakeWorker) -> None:
    worker.broken["cars"] = "no memory"
    assert api.http.get("/models/cars/load").status_code == 409
    worker.broken.clear()

    assert api.http.get("/models/cars/load").json() == OK


def test_a_worker_that_is_not_done_in_time_is_named(
    start_api: StartApi,
    start_worker: StartWorker,
) -> None:
    quick, slow = start_worker("quick"), start_worker("slow")
    slow.slow.add("cars")
    api = start_api(load_timeout_s=0.3)
    api.knows(quick, slow)

    status, said = error(api.http.get("/models/cars/load"))

    assert status == 503
    assert "not loaded within 0.3 s: model cars on worker slow;" in said


def test_a_worker_that_comes_later_takes_over_what_is_desired(
    api: Api, worker: FakeWorker, start_worker: StartWorker
) -> None:
    api.http.get("/models/cars/load")
    api.http.patch("/models/cars/config", json={"confidence": 10})

    api.knows(worker, start_worker("late"), models=("cars",))

    late = {one.worker: status for one, status in api.plane.workers.reports("cars")}["late"]
    assert late.config is not None
    assert late.config["confidence"] == 10


def test_a_model_is_unloaded_and_loaded_again(api: Api) -> None:
    api.http.get("/models/cars/load")

    assert api.http.post("/models/cars/unload").json() == OK
    cars = data(api.http.get("/models"))["details"]["cars"]
    assert (cars["state"], cars["desired"], cars["workers"]) == ("unloaded", False, {})
    assert api.http.post("/models/cars/unload").json() == OK

    assert api.http.get("/models/cars/load").json() == OK
    assert data(api.http.get("/models"))["details"]["cars"]["state"] == "loaded"


def test_a_model_that_failed_before_it_was_unloaded_is_tried_anew(api: Api, worker: FakeWorker) -> None:
    worker.broken["cars"] = "no memory"
    api.http.get("/models/cars/load")
    api.http.post("/models/cars/unload")
    worker.broken.clear()

    assert api.http.get("/models/cars/load").json() == OK


def test_a_model_that_frames_go_through_cannot_be_unloaded(api: Api) -> None:
    status, said = error(api.http.post("/models/people/unload"))

    assert status == 409
    assert "frames of a topic go through it" in said
    assert api.plane.workers.with_model("people")


def test_a_worker_that_keeps_a_model_is_named(start_api: StartApi, worker: FakeWorker) -> None:
    api = start_api(load_timeout_s=0.3)
    api.knows(worker)
    api.http.get("/models/cars/load")
    worker.hold()
    try:
        assert error(api.http.post("/models/cars/unload")) == (
            503,
            "model cars is not unloaded yet on worker worker-1; it will be",
        )
    finally:
        worker.go_on()


@pytest.mark.parametrize("model", ["people", "cars", model_uuid("cars")])
def test_labels_of_models_loaded_and_not(steady: Api, model: str) -> None:
    assert data(steady.http.get(f"/models/{model}/labels")) == ["person", "dog"]


PATHS = ["labels", "config", "load", "load?force=true", "unload", "predict", "predict_image", "predict_batch"]


HOSTILE = ["nobody", "..%2f..%2fetc", "%2e%2e", "people%00", "a" * 3_000, "%ff%fe", "%0a"]


def test_an_unknown_model_is_not_found_whatever_it_is_called(steady: Api) -> None:
    picture = {"input_data": ("street.jpg", jpeg())}
    for path, model in itertools.product(PATHS, HOSTILE):
        method = "POST" if path.startswith(("predict", "unload")) else "GET"

        status, said = error(steady.http.request(method, f"/models/{model}/{path}", files=picture))

        assert status == 404, (path, model)
        assert said in ("Model not found", "Not Found")


def test_a_models_directory_that_is_gone_is_no_failure_of_what_runs(api: Api, models: Path) -> None:
    models.rename(models.with_name("away"))

    status, said = error(api.http.get("/models"))

    assert (status, said) == (503, "the models directory cannot be read; the log of the control API says why")
    assert data(api.http.get("/models/people/config"))["confidence"] == 60

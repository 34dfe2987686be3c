"""A script written for the old service."""

from typing import Any

import pytest

from control_api.models import label_uuid, model_uuid
from tests.pictures import jpeg
from tests.unit.control_api.clients import BOXES
from tests.unit.control_api.conftest import Api, StartApi, StartWorker, write_model
from tests.unit.control_api.fake_worker import FakeWorker

UUIDS = {"cars": model_uuid("cars"), "people": model_uuid("people")}


def failure(error: str) -> dict[str, Any]:
    return {"data": None, "error": error, "success": False}


def detect(api: Api, model: str, picture: bytes | None = None) -> Any:
    files = {"image": ("street.jpg", jpeg() if picture is None else picture, "image/jpeg")}
    return api.http.post("/detect", data={"model": model}, files=files)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_all_models_are_loaded_and_go_by_their_uuids(api: Api, worker: FakeWorker, method: str) -> None:
    response = api.http.request(method, "/load")

    assert (response.status_code, response.json()) == (200, UUIDS)
    assert {name for name in UUIDS if api.plane.workers.with_model(name)} == {"cars", "people"}
    for uuid in UUIDS.values():
        response = detect(api, uuid)
        assert (response.status_code, response.json()) == (200, BOXES)


def test_one_broken_model_does_not_stop_the_others(
    api: Api, worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.broken["cars"] = "the graph has no tensor image_tensor"

    response = api.http.get("/load")

    assert (response.status_code, response.json()) == (200, UUIDS)
    assert "the graph has no tensor image_tensor" in capsys.readouterr().out
    response = detect(api, "cars")
    assert response.status_code == 409
    assert response.json() == failure("Error loading model: the graph has no tensor image_tensor")


def test_it_is_an_error_if_no_model_can_be_loaded(start_api: StartApi, start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.broken = {"cars": "no memory", "people": "Invalid model configuration: config.json: missing"}
    api = start_api()
    api.knows(worker)

    response = api.http.get("/load")

    assert response.status_code == 409
    assert response.json() == failure(
        "Error loading model: no memory; Invalid model configuration: config.json: missing"
    )


def test_a_model_that_was_broken_is_tried_again(api: Api, worker: FakeWorker) -> None:
    worker.broken["cars"] = "no memory"
    api.http.get("/load")
    del worker.broken["cars"]

    assert api.http.get("/load").json() == UUIDS
    assert detect(api, "cars").status_code == 200


def test_models_that_are_not_loaded_in_time_are_named(start_api: StartApi, worker: FakeWorker) -> None:
    worker.slow.add("cars")
    api = start_api(load_timeout_s=0.3)
    api.knows(worker, models=("people",))

    response = api.http.get("/load")

    assert response.status_code == 503
    assert "model cars on worker worker-1" in response.json()["error"]


def test_without_a_worker_it_is_said_at_once(start_api: StartApi) -> None:
    api = start_api()

    for response in (api.http.get("/load"), detect(api, "people")):
        assert response.status_code == 503
        assert response.json() == failure("no worker is running; start one with `framebus consume`")


def test_no_models_are_no_error(api: Api, models: Any, worker: FakeWorker) -> None:
    for folder in models.iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    worker_keeps = {"people": model_uuid("people")}

    assert api.http.get("/load").json() == worker_keeps


@pytest.mark.parametrize("model", ["people", model_uuid("people")])
def test_labels_and_their_uuids_need_no_worker(start_api: StartApi, model: str) -> None:
    api = start_api()
    labels = {label: label_uuid("people", label) for label in ("person", "dog")}

    # As a form of either kind.
    for request in ({"data": {"model": model}}, {"files": {"model": (None, model)}}):
        response = api.http.post("/get_labels", **request)
        assert (response.status_code, response.json()) == (200, labels)


@pytest.mark.parametrize("model", ["nobody", "../people", "", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_model_is_not_found(steady: Api, model: str) -> None:
    for response in (detect(steady, model), steady.http.post("/get_labels", data={"model": model})):
        assert (response.status_code, response.json()) == (404, failure("Model not found"))


def test_a_form_that_lacks_something_is_refused(steady: Api) -> None:
    picture = {"image": ("street.jpg", jpeg(), "image/jpeg")}
    no_model = steady.http.post("/detect", files=picture)
    no_picture = steady.http.post("/detect", data={"model": "people"})
    text_for_a_picture = steady.http.post("/detect", data={"model": "people", "image": "street.jpg"})
    file_for_a_name = steady.http.post("/get_labels", files={"model": ("name.txt", b"people")})
    two_pictures = steady.http.post(
        "/detect", data={"model": "people"}, files=[*picture.items(), *picture.items()]
    )
    json = steady.http.post("/get_labels", json={"model": "people"})

    for response, why in (
        (no_model, "the form has no field `model`"),
        (no_picture, "the form has no file `image`"),
        (text_for_a_picture, "the form has no file `image`"),
        (file_for_a_name, "Too many files"),
        (two_pictures, "Too many files"),
        (json, "the form has no field `model`"),
    ):
        assert response.status_code == 422
        assert response.json()["error"].startswith(f"Invalid input data: {why}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nvalue\r\n--x--",
        b"\xff" * 100,
    ],
)
def test_a_damaged_form_is_refused(steady: Api, body: bytes) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}

    assert steady.http.post("/detect", content=body, headers=kind).status_code == 422
    assert (
        steady.http.post("/detect", content=body, headers={"Content-Type": "multipart/form-data"}).status_code
        == 422
    )


def test_a_broken_label_map_is_said(api: Api, models: Any) -> None:
    (models / "cars" / "object-detection.pbtxt").write_text("item { id: 1 }")

    response = api.http.post("/get_labels", data={"model": "cars"})

    assert response.status_code == 409
    assert response.json()["error"].startswith("Error loading model: ")
    assert "has no name" in response.json()["error"]


@pytest.fixture
def old(start_api: StartApi, worker: FakeWorker) -> Api:
    api = start_api(legacy_status=True, max_image_bytes=2_000)
    api.knows(worker, models=("people",))
    return api


def test_with_the_old_statuses_everything_that_the_old_service_knew_is_200(
    old: Api, models: Any, worker: FakeWorker
) -> None:
    write_model(models, "broken")
    worker.broken["broken"] = "no memory"
    for response, error in (
        (detect(old, "nobody"), "Model not found"),
        (detect(old, "people", b"text"), "Invalid input data: not a JPEG, PNG or WebP image"),
        (detect(old, "broken"), "Error loading model: no memory"),
        (old.http.post("/detect"), "Invalid input data: the form has no field `model`"),
        (old.http.get("/models/people/load?force=maybe"), "Invalid input data: query.force"),
    ):
        assert response.status_code == 200
        assert response.json()["success"] is False
        assert response.json()["error"].startswith(error)


def test_with_the_old_statuses_what_is_new_stays_true(old: Api) -> None:
    assert detect(old, "people", b"\xff" * 3_000).status_code == 413
    assert detect(old, "people", b"\xff" * 300_000).status_code == 413
    assert old.http.get("/no/such/path").status_code == 404
    assert old.http.delete("/load").status_code == 405

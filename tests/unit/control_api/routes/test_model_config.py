import json
from pathlib import Path
from typing import Any

import pytest

from control_api import model_control
from control_api.models import model_uuid
from tests.unit.control_api.clients import data, error
from tests.unit.control_api.conftest import CONFIG, Api
from tests.unit.control_api.fake_worker import FakeWorker
from tests.workers import wait_until


def test_config_is_that_of_the_file_and_says_so(steady: Api) -> None:
    for model in ("people", "cars", model_uuid("people")):
        assert data(steady.http.get(f"/models/{model}/config")) == {**CONFIG, "overridden": []}


@pytest.mark.parametrize("model", ["people", "cars"])
def test_overrides_win_until_they_are_cleared(api: Api, model: str) -> None:
    path = f"/models/{model}/config"
    changed = {**CONFIG, "confidence": 75.5, "overridden": ["confidence"]}

    assert data(api.http.patch(path, json={"confidence": 75.5})) == changed
    assert data(api.http.get(path)) == changed
    assert data(api.http.patch(path, json={})) == changed

    both = {**changed, "predictions": 3, "overridden": ["confidence", "predictions"]}
    assert data(api.http.patch(path, json={"predictions": 3})) == both

    assert data(api.http.patch(path, json={"confidence": None, "predictions": None})) == {
        **CONFIG,
        "overridden": [],
    }
    details = data(api.http.get("/models"))["details"][model]
    assert details["thresholds"] == {"confidence": 60, "predictions": 15}


def test_an_override_is_in_force_when_the_answer_comes(api: Api) -> None:
    api.http.patch("/models/people/config", json={"confidence": 12})

    [(_, status)] = api.plane.workers.reports("people")
    assert status.config is not None
    assert status.config["confidence"] == 12
    assert status.overridden == ("confidence",)


def test_a_worker_that_does_not_take_an_override_is_named(
    api: Api, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_control, "_CONFIGURE_TIMEOUT_S", 0.2)
    worker.hold()
    try:
        status, said = error(api.http.patch("/models/people/config", json={"confidence": 12}))
    finally:
        worker.go_on()

    assert status == 503
    assert said == "the change is written, and not yet in force on worker worker-1; it will be"
    wait_until(lambda: data(api.http.get("/models/people/config"))["confidence"] == 12)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"confidence": 101}, "body.confidence: Input should be less than or equal to 100"),
        ({"confidence": -1}, "body.confidence: Input should be greater than or equal to 0"),
        ({"confidence": "60"}, "body.confidence: Input should be a valid number"),
        ({"confidence": True}, "body.confidence: Input should be a valid number"),
        ({"predictions": 0}, "body.predictions: Input should be greater than or equal to 1"),
        ({"predictions": 1.5}, "body.predictions: Input should be a valid integer"),
        ({"predictions": 2**40}, "body.predictions: Input should be less than 2147483648"),
        ({"network": "other"}, "body.network: Extra inputs are not permitted"),
        ([], "body: Input should be a valid dictionary or object to extract fields from"),
        (None, "body: Field required"),
    ],
)
def test_a_wrong_override_is_refused(steady: Api, body: Any, complaint: str) -> None:
    response = steady.http.patch("/models/people/config", **({} if body is None else {"json": body}))

    assert error(response) == (422, f"Invalid input data: {complaint}")
    assert data(steady.http.get("/models/people/config"))["overridden"] == []


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"confidence": NaN}', b'{"confidence": 1e999}', b"[" * 50_000]
)
def test_an_override_that_is_no_json_is_refused(steady: Api, body: bytes) -> None:
    json = {"Content-Type": "application/json"}

    status, said = error(steady.http.patch("/models/people/config", content=body, headers=json))

    assert status == 422
    assert said.startswith("Invalid input data: ")


def test_json_that_is_not_said_to_be_json_is_refused_with_what_to_say(steady: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl -d has it

    answer = steady.http.patch("/models/people/config", content=b'{"confidence": 35}', headers=form)

    why = "Invalid input data: the body is read as JSON with `Content-Type: application/json` only"
    assert error(answer) == (422, why)


def test_a_broken_config_of_a_model_that_nobody_runs_is_said(api: Api, models: Path) -> None:
    (models / "cars" / "config.json").write_text("{}")

    status, said = error(api.http.get("/models/cars/config"))

    assert status == 409
    assert said.startswith("Invalid model configuration: ")


def test_a_config_that_was_broken_by_hand_is_said_and_the_old_one_holds(api: Api, models: Path) -> None:
    def people() -> dict[str, Any]:
        return data(api.http.get("/models"))["details"]["people"]  # type: ignore[no-any-return]

    (models / "people" / "config.json").write_text("{ this is no JSON")
    wait_until(lambda: people()["config_error"])
    assert people()["config_error"].startswith("Invalid model configuration: ")
    assert people()["thresholds"] == {"confidence": 60, "predictions": 15}
    config = data(api.http.get("/models/people/config"))
    assert config.pop("config_error") == people()["config_error"]
    assert config == {**CONFIG, "overridden": []}

    (models / "people" / "config.json").write_text(json.dumps({**CONFIG, "confidence": 20}))
    wait_until(lambda: people()["config_error"] is None)
    assert people()["thresholds"] == {"confidence": 20, "predictions": 15}

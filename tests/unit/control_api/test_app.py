import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from control_api.app import ControlApi
from framebus.bus import TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.errors import BusRefusedError, ModelError, SettingsError, TransportError
from tests.pictures import jpeg
from tests.unit.control_api.clients import predict
from tests.unit.control_api.conftest import Api, StartApi, settings_for
from tests.unit.control_api.fake_worker import FakeWorker
from tests.workers import wait_until


class AwayBus(MemoryBus):
    """A bus that is away, or refuses, until told otherwise."""

    error: Exception | None = TransportError("no broker at 127.0.0.1:9092")

    def create_topics(self, topics: Sequence[TopicSpec]) -> list[str]:
        if self.error is not None:
            raise self.error
        return super().create_topics(topics)


def test_a_stop_finishes_the_requests_that_are_being_answered(api: Api, worker: FakeWorker) -> None:
    worker.hang()
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(predict, api, jpeg())
        wait_until(lambda: len(worker.requests) == 1)
        api.tell_to_stop()
        wait_until(lambda: not takes_connections(api))

        worker.go_on()

        assert answer.result().status_code == 200
    api.join()


def takes_connections(api: Api) -> bool:
    try:
        httpx.get(f"{api.url}/healthz", trust_env=False)
    except httpx.TransportError:
        return False
    return True


def test_no_answer_waits_for_the_client_to_acknowledge_its_headers(steady: Api) -> None:
    # Which takes 40 ms, every time.
    took_s = []
    for _ in range(30):
        started_s = time.perf_counter()
        steady.http.get("/healthz")
        took_s.append(time.perf_counter() - started_s)

    assert min(took_s) < 0.03


def test_two_replicas_share_what_is_desired(start_api: StartApi, worker: FakeWorker) -> None:
    first, second = start_api(), start_api()
    first.knows(worker, models=("people",))
    second.knows(worker, models=("people",))

    first.http.patch("/models/people/config", json={"confidence": 5})
    first.http.get("/models/cars/load")
    second.knows(worker, models=("people", "cars"))

    assert second.http.get("/models/people/config").json()["data"]["confidence"] == 5
    assert predict(second, jpeg(), model="cars").status_code == 200
    assert second.http.post("/models/cars/unload").status_code == 200
    wait_until(lambda: first.http.get("/models").json()["data"]["details"]["cars"]["desired"] is False)


def test_a_restart_knows_what_was_desired(start_api: StartApi, worker: FakeWorker) -> None:
    first = start_api()
    first.knows(worker)
    first.http.patch("/models/people/config", json={"predictions": 2})
    first.tell_to_stop()
    first.join()

    second = start_api()

    assert second.http.get("/models/people/config").json()["data"]["predictions"] == 2


def test_it_is_ready_once_the_bus_was_read_and_workers_had_time_to_speak(api: Api) -> None:
    assert api.http.get("/healthz").json() == {"status": "ok"}

    wait_until(lambda: api.http.get("/readyz").status_code == 200)

    assert api.http.get("/readyz").json() == {"status": "ok"}


def test_it_listens_for_workers_before_it_is_ready(start_api: StartApi) -> None:
    api = start_api(control={"beat_interval_s": 60})

    response = api.http.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "reason": "listening for workers"}


def run(program: ControlApi) -> tuple[threading.Event, "list[Exception]", threading.Thread]:
    stop, failures = threading.Event(), list[Exception]()

    def guarded() -> None:
        try:
            program.run(stop)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    return stop, failures, thread


def test_without_a_broker_it_waits_for_one(models: Path) -> None:
    bus = AwayBus()
    program = ControlApi(settings_for(models), bus)
    stop, failures, thread = run(program)
    try:
        wait_until(lambda: program.port is not None)
        with httpx.Client(base_url=f"http://127.0.0.1:{program.port}", trust_env=False) as http:
            not_ready = http.get("/readyz")
            assert not_ready.status_code == 503
            assert not_ready.json()["reason"] == (
                "the topics of control cannot be read; is a broker there at 127.0.0.1:9092?"
            )
            assert http.get("/healthz").status_code == 200
            assert http.get("/models/people/labels").status_code == 200
            assert http.get("/load").status_code == 503
            response = http.patch("/models/people/config", json={"confidence": 5})
            assert response.status_code == 503
            assert "framebus.commands does not exist" in response.json()["error"]

            bus.error = None
            wait_until(lambda: http.get("/readyz").status_code == 200)
    finally:
        stop.set()
        thread.join()
    assert failures == []


def test_a_broker_that_refuses_for_good_ends_it(models: Path) -> None:
    bus = AwayBus()
    bus.error = BusRefusedError("wrong password")

    with pytest.raises(BusRefusedError, match="wrong password"):
        ControlApi(settings_for(models), bus).run(threading.Event())


def test_a_port_that_is_taken_is_refused_with_the_remedy(models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = ControlApi(settings_for(models, port=port), MemoryBus())

        with pytest.raises(
            SettingsError, match=rf"cannot listen on 127\.0\.0\.1:{port} .*FRAMEBUS_API__PORT"
        ):
            program.run(threading.Event())


def test_without_a_models_directory_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no models directory"):
        ControlApi(settings_for(tmp_path / "nowhere"), MemoryBus()).run(threading.Event())


def test_that_anybody_may_change_models_is_said(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host, token, warns in (
        ("0.0.0.0", None, True),
        ("127.0.0.1", None, False),
        ("0.0.0.0", "x" * 16, False),
    ):
        stop, failures, thread = run(
            ControlApi(settings_for(models, host=host, admin_token=token), MemoryBus())
        )
        stop.set()
        thread.join()
        assert failures == []
        assert ("set FRAMEBUS_API__ADMIN_TOKEN" in capsys.readouterr().out) is warns


def test_pages_of_other_origins_may_call_only_where_that_was_allowed(start_api: StartApi) -> None:
    origin = {"Origin": "https://dashboard.example"}
    preflight = {**origin, "Access-Control-Request-Method": "PATCH"}
    closed, opened = start_api(), start_api(cors_origins=["https://dashboard.example"])

    assert "access-control-allow-origin" not in closed.http.get("/models", headers=origin).headers
    assert closed.http.options("/models", headers=preflight).status_code == 405

    answer = opened.http.get("/models", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://dashboard.example"
    asked = opened.http.options("/models/people/config", headers=preflight)
    assert asked.status_code == 200
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    stranger = opened.http.get("/models", headers={"Origin": "https://stranger.example"})
    assert "access-control-allow-origin" not in stranger.headers


def test_what_there_is_not_is_answered_with_the_envelope(steady: Api) -> None:
    missing = steady.http.get("/no/such/path")
    assert (missing.status_code, missing.json()) == (
        404,
        {"data": None, "error": "Not Found", "success": False},
    )
    wrong_method = steady.http.delete("/models")
    assert (wrong_method.status_code, wrong_method.json()) == (
        405,
        {"data": None, "error": "Method Not Allowed", "success": False},
    )
    assert wrong_method.headers["Allow"] == "GET"

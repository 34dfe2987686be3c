import re
import socket
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from tests.pictures import jpeg
from tests.unit.control_api.clients import predict
from tests.unit.control_api.conftest import Api, StartApi
from tests.unit.control_api.fake_worker import FakeWorker
from tests.workers import wait_until

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def sample(api: Api, name: str, **labels: str) -> float:
    return api.plane.registry.get_sample_value(f"framebus_api_{name}", labels) or 0


def requests(api: Api, endpoint: str, method: str, status: int) -> float:
    return sample(api, "requests_total", endpoint=endpoint, method=method, status=str(status))


def in_flight(api: Api) -> float:
    families = api.plane.registry.collect()
    [family] = [one for one in families if one.name == "framebus_api_requests_in_flight"]
    return sum(one.value for one in family.samples)


def connect(api: Api) -> socket.socket:
    host, port = api.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


Line = MutableMapping[str, Any]
Log = Callable[[str], Line]


@pytest.fixture
def log(steady: Api) -> Iterator[Log]:
    """Waits for an event in the log, and returns its one line."""
    # The test before had its answer a moment before the line about it was written.
    wait_until(lambda: in_flight(steady) == 0)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:

        def found(event: str) -> list[Line]:
            return [line for line in lines if line["event"] == event]

        def line(event: str) -> Line:
            wait_until(lambda: found(event))
            [one] = found(event)
            return one

        yield line


def test_requests_are_counted_by_endpoint_method_and_status(api: Api) -> None:
    api.http.get("/models/people/labels")
    api.http.get("/models/cars/labels")
    api.http.get("/models/nobody/labels")
    predict(api, jpeg())
    predict(api, b"text")

    # A client has its answer a moment before the request has been counted.
    wait_until(lambda: in_flight(api) == 0)
    assert requests(api, "/models/{model}/labels", "GET", 200) == 2
    assert requests(api, "/models/{model}/labels", "GET", 404) == 1
    assert requests(api, "/models/{model}/predict", "POST", 200) == 1
    assert requests(api, "/models/{model}/predict", "POST", 400) == 1
    assert sample(api, "request_seconds_count", endpoint="/models/{model}/predict", method="POST") == 2
    assert sample(api, "workers") == 1


def test_what_clients_make_up_makes_no_new_series(api: Api) -> None:
    before = sum(1 for family in api.plane.registry.collect() for _ in family.samples)

    for number in range(20):
        api.http.get(f"/no/such/path/{number}")
        api.http.request(f"METHOD{number}", "/load")
    wait_until(lambda: in_flight(api) == 0)
    after = sum(1 for family in api.plane.registry.collect() for _ in family.samples)

    assert requests(api, "other", "GET", 404) == 20
    # A counter and a histogram for paths that there are not, and the same for methods.
    assert after - before < 50


def test_metrics_are_there_for_prometheus(api: Api) -> None:
    api.http.get("/models")

    page = api.http.get("/metrics")

    assert page.headers["content-type"].startswith("text/plain; version=")
    assert 'framebus_api_requests_total{endpoint="/models",method="GET",status="200"} 1.0' in page.text


def test_a_request_in_flight_is_counted(api: Api) -> None:
    # It never sends its body.
    with connect(api) as connection:
        connection.sendall(b"POST /get_labels HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n")
        connection.sendall(b"Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100")

        assert sample(api, "requests_in_flight", endpoint="/get_labels") == 1


def test_each_answer_has_an_id_of_its_own(steady: Api) -> None:
    ids = {steady.http.get("/models").headers["X-Request-ID"] for _ in range(3)}

    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
    assert steady.http.get("/nothing").headers["X-Request-ID"]


@pytest.mark.parametrize("sent", ["order-17", "a.b:c_d", "x" * 64])
def test_a_clients_id_is_kept(steady: Api, sent: str) -> None:
    assert steady.http.get("/models", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "a b", 'quote"', "x" * 65, "a\tb", "<script>"])
def test_a_clients_id_that_could_do_harm_is_replaced(steady: Api, sent: str) -> None:
    answered = steady.http.get("/models", headers={"X-Request-ID": sent}).headers["X-Request-ID"]

    assert re.fullmatch(r"[0-9a-f]{32}", answered)


def test_the_log_names_the_request_and_its_trace(log: Log, steady: Api) -> None:
    headers = {"X-Request-ID": "order-17", "traceparent": TRACE}
    steady.http.get("/models/nobody/labels", headers=headers)

    line = log("request")
    assert line.pop("took_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "program": "api",
        "method": "GET",
        "path": "/models/nobody/labels",
        "status": 404,
        "error": "Model not found",
        "request_id": "order-17",
        "trace_id": TRACE_ID,
    }


def test_a_model_that_does_not_load_is_logged_with_the_request(
    log: Log, api: Api, worker: FakeWorker
) -> None:
    worker.broken["cars"] = "no memory"

    api.http.get("/load", headers={"X-Request-ID": "order-18"})

    line = log("model not loaded")
    assert (line["model"], line["error"], line["request_id"]) == ("cars", "no memory", "order-18")


@pytest.mark.parametrize(
    "sent", ["nonsense", TRACE.upper(), "ff" + TRACE[2:], TRACE.replace(TRACE_ID, "0" * 32)]
)
def test_a_trace_that_is_none_is_begun_anew(log: Log, steady: Api, sent: str) -> None:
    steady.http.get("/models", headers={"traceparent": sent})

    line = log("request")
    assert re.fullmatch(r"[0-9a-f]{32}", line["trace_id"])
    assert line["trace_id"] not in (TRACE_ID, "0" * 32)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/cameras", "/workers"])
def test_what_machines_ask_all_the_time_is_hardly_logged(log: Log, steady: Api, path: str) -> None:
    steady.http.get(path)

    assert log("request")["log_level"] == "debug"


def test_a_bug_is_answered_without_its_secrets_and_logged(
    log: Log, start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = start_api()

    def fail(name: str) -> None:
        raise RuntimeError(f"a secret of {name}")

    monkeypatch.setattr(api.plane.models, "resolve", fail)
    response = api.http.get("/models/people/labels", headers={"X-Request-ID": "order-19"})

    assert response.status_code == 500
    assert response.json() == {
        "data": None,
        "error": "unexpected server error; its log says why",
        "success": False,
    }
    assert response.headers["X-Request-ID"] == "order-19"
    line = log("request failed")
    assert line["request_id"] == "order-19"
    assert line["exc_info"]
    wait_until(lambda: requests(api, "/models/{model}/labels", "GET", 500) == 1)


def test_a_client_that_goes_away_is_no_failure(log: Log, steady: Api) -> None:
    with connect(steady) as connection:
        connection.sendall(b"POST /get_labels HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n")
        connection.sendall(b"Content-Type: application/x-www-form-urlencoded\r\n\r\nmo")

    line = log("request")
    assert line["status"] == 422
    assert "the client went away" in line["error"]

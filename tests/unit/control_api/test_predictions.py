from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from tests.pictures import jpeg
from tests.unit.control_api.clients import error, predict
from tests.unit.control_api.conftest import Api, StartApi, StartWorker, settings_for
from tests.unit.control_api.fake_worker import FakeWorker, refusal


@pytest.fixture
def pair(start_worker: StartWorker) -> tuple[FakeWorker, FakeWorker]:
    """Two workers with the same model."""
    return start_worker("worker-1", routed=("people",)), start_worker("worker-2", routed=("people",))


@pytest.fixture
def api(start_api: StartApi, pair: tuple[FakeWorker, FakeWorker]) -> Api:
    api = start_api()
    api.knows(*pair, models=("people",))
    return api


def retries(api: Api, reason: str) -> float:
    labels = {"reason": reason}
    return api.plane.registry.get_sample_value("framebus_api_prediction_retries_total", labels) or 0


def prefer(worker: FakeWorker, other: FakeWorker, api: Api) -> None:
    """Makes one worker the first that is asked: it has less to do."""
    other.waiting_predictions, worker.waiting_predictions = 50, 0
    api.knows_waiting(other, 50)
    api.knows_waiting(worker, 0)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "not_loaded"),
        (429, "busy"),
        (503, "stopping"),
        (504, "deadline"),
        (401, "unauthorized"),
        (500, "status_500"),
    ],
)
def test_another_worker_is_asked_where_that_may_help(
    api: Api, pair: tuple[FakeWorker, FakeWorker], status: int, reason: str
) -> None:
    first, second = pair
    prefer(first, second, api)
    first.refuse = lambda: PlainTextResponse("oops", status) if status == 500 else refusal(status, reason)

    assert predict(api, jpeg()).status_code == 200

    assert len(first.requests) == 1
    assert len(second.requests) == 1
    assert retries(api, "unreachable" if status == 500 else reason) == 1


def test_a_worker_that_is_dead_and_not_yet_missed_is_passed_over(
    api: Api, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    first, second = pair
    prefer(first, second, api)
    # Twice: over a connection that was kept, and without one.
    assert predict(api, jpeg()).status_code == 200
    first.stop_http()

    for _ in range(3):
        assert predict(api, jpeg()).status_code == 200

    assert retries(api, "unreachable") >= 1
    assert len(second.requests) == 3


def test_a_picture_that_ends_two_workers_does_not_end_the_third(
    start_api: StartApi, start_worker: StartWorker
) -> None:
    workers = [start_worker(f"worker-{number}", routed=("people",)) for number in range(3)]
    api = start_api()
    api.knows(*workers, models=("people",))
    for worker in workers:
        worker.refuse = broken_off

    status, why = error(predict(api, jpeg()))

    assert status == 503
    assert "2 workers broke off while they had this picture" in why
    assert sum(len(worker.requests) for worker in workers) == 2
    assert retries(api, "broken_off") == 2


def broken_off() -> Response:
    """An answer whose connection ends in the middle of it."""

    async def half() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionError

    return StreamingResponse(half())


def test_a_worker_that_hangs_leaves_time_for_another(
    start_api: StartApi, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    api = start_api(predict_timeout_s=4)
    api.knows(*pair, models=("people",))
    first, second = pair
    prefer(first, second, api)
    first.hang()
    try:
        assert predict(api, jpeg()).status_code == 200
    finally:
        first.go_on()

    assert retries(api, "timeout") == 1


def test_a_worker_alone_is_asked_again(start_api: StartApi, start_worker: StartWorker) -> None:
    worker = start_worker(routed=("people",))
    api = start_api()
    api.knows(worker, models=("people",))
    answers: list[Response | None] = [refusal(429, "busy"), refusal(404, "not_loaded"), None]
    worker.refuse = lambda: answers.pop(0)

    assert predict(api, jpeg()).status_code == 200

    assert (retries(api, "busy"), retries(api, "not_loaded")) == (1, 1)


def test_workers_that_stay_busy_are_no_failure_of_ours(
    start_api: StartApi, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    api = start_api(predict_timeout_s=0.3)
    api.knows(*pair, models=("people",))
    for worker in pair:
        worker.refuse = lambda: refusal(429, "busy")

    response = predict(api, jpeg())

    status, said = error(response)
    assert status == 429
    assert said.startswith("every worker is busy; worker worker-")
    assert response.headers["Retry-After"] == "1"


def test_no_answer_in_time_says_who_was_asked_and_why_in_vain(
    start_api: StartApi, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    api = start_api(predict_timeout_s=0.3)
    api.knows(*pair, models=("people",))
    first, second = pair
    first.refuse = lambda: refusal(504, "deadline")
    second.refuse = lambda: JSONResponse(["no", "words"], 503)

    status, said = error(predict(api, jpeg()))

    assert status == 503
    assert said.startswith("no answer within 0.3 s: ")
    assert "worker worker-1: the worker's words" in said
    assert "worker worker-2: ['no', 'words']" in said


def test_a_worker_that_left_is_not_asked(api: Api, pair: tuple[FakeWorker, FakeWorker]) -> None:
    first, second = pair
    first.leave()
    api.knows(second, models=("people",))

    assert predict(api, jpeg()).status_code == 200
    assert first.requests == []

    second.leave()
    api.knows()
    assert error(predict(api, jpeg())) == (503, "no worker is running; start one with `framebus consume`")


def test_the_worker_with_least_to_do_is_asked(api: Api, pair: tuple[FakeWorker, FakeWorker]) -> None:
    first, second = pair
    prefer(second, first, api)

    for _ in range(3):
        predict(api, jpeg())

    assert (len(first.requests), len(second.requests)) == (0, 3)


def test_a_worker_is_told_who_asks_and_how_long_there_is(
    api: Api, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    ids = {"X-Request-ID": "from-the-client", "traceparent": trace}

    response = api.http.post("/models/people/predict", files={"input_data": ("a.jpg", jpeg())}, headers=ids)

    assert response.headers["X-Request-ID"] == "from-the-client"
    [(model, headers)] = [*pair[0].requests, *pair[1].requests]
    assert model == "people"
    assert headers["x-request-id"] == "from-the-client"
    assert headers["traceparent"] == trace
    assert 0 < int(headers["x-deadline-ms"]) <= 10_000
    assert "authorization" not in headers


def test_the_shared_token_opens_the_workers_port(
    start_api: StartApi, start_worker: StartWorker, models: Path
) -> None:
    shared = {"worker_token": "a secret of workers"}
    worker = start_worker(settings=settings_for(models, shared), routed=("people",))
    api, stranger = start_api(control=shared), start_api(predict_timeout_s=0.5)
    api.knows(worker, models=("people",))
    stranger.knows(worker, models=("people",))

    assert predict(api, jpeg()).status_code == 200
    status, _ = error(predict(stranger, jpeg()))
    assert status == 503
    assert retries(stranger, "unauthorized") >= 1

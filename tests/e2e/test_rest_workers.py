"""API replicas and workers that come, go and are killed, on a real broker; the engines need no TensorFlow."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

import httpx
import pytest

from framebus.local_broker import LocalBroker
from tests.e2e.rest_processes import (
    SLOW,
    RestInstallation,
    RestProcess,
    WorkerProcess,
    data_of,
    http_client,
    predict,
    seconds_until,
    whole_picture,
)
from tests.pictures import jpeg

pytestmark = pytest.mark.slow

BEAT_S = 1.0  # FRAMEBUS_CONTROL__BEAT_INTERVAL_S
SLACK_S = 4.0  # for a busy machine
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
NOTHING: dict[str, list[object]] = {"bounding-boxes": []}
PICTURE, FOUND = jpeg(64, 48), whole_picture(64, 48)


class Rest(NamedTuple):
    """What all tests of this module share, and leave as they found it."""

    installation: RestInstallation
    api: RestProcess
    worker: WorkerProcess
    model: str


@pytest.fixture(scope="module")
def rest(apache: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    directory = tmp_path_factory.mktemp("rest")
    with RestInstallation(apache.bootstrap_servers, directory, call_s=0.05) as installation:
        api, worker = installation.api(), installation.worker()
        worker.until_ready()
        api.until_ready()
        api.until_workers(worker)
        yield Rest(installation, api, worker, installation.model)


@pytest.fixture
def slow_model(rest: Rest) -> Iterator[str]:
    """Loaded on all workers."""
    with rest.api.client() as client:
        data_of(client.post(f"/models/{SLOW}/load"))
        yield SLOW
        data_of(client.post(f"/models/{SLOW}/unload"))


class Load:
    """Clients of several replicas that send a picture as soon as the last one was answered.

    The pictures differ in size, so that an answer tells which one it belongs to. A client whose replica is
    gone ends.

    Args:
        urls: The replicas.
        model: The quick model.
    """

    def __init__(self, urls: list[str], model: str) -> None:
        self._model = model
        self._stop = threading.Event()
        self.answered: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.unanswered: Counter[str] = Counter()
        self._threads = [
            threading.Thread(target=self._send, args=(url, 16 * (number + 1)))
            for number, url in enumerate(urls * 4)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until_more(self, url: str, count: int = 20) -> None:
        """Waits until a replica has answered so many more."""
        enough = self.answered[url] + count
        seconds_until(lambda: self.answered[url] >= enough or bool(self.wrong), f"answers of {url}")

    def _send(self, url: str, width: int) -> None:
        picture, expected = jpeg(width, 48), whole_picture(width, 48)
        with http_client(url) as client:
            while not self._stop.is_set():
                try:
                    response = predict(client, self._model, picture)
                except httpx.TransportError:
                    self.unanswered[url] += 1
                    return
                if response.status_code == 200 and response.json()["data"] == expected:
                    self.answered[url] += 1
                else:
                    self.wrong.append(f"{response.status_code}: {response.text}")


def test_one_of_two_replicas_and_one_of_two_workers_are_killed_during_load(rest: Rest) -> None:
    doomed_api, doomed_worker = rest.installation.api(), rest.installation.worker()
    doomed_worker.until_ready()
    doomed_api.until_ready()
    for api in (rest.api, doomed_api):
        api.until_workers(rest.worker, doomed_worker)

    with Load([rest.api.url, doomed_api.url], rest.model) as load:
        load.until_more(rest.api.url)
        load.until_more(doomed_api.url)
        assert doomed_worker.metric("framebus_predictions_total", outcome="answered") > 0

        doomed_worker.kill()
        gone_after_s = seconds_until(lambda: doomed_worker.url not in rest.api.workers(), "the worker to go")
        load.until_more(doomed_api.url)
        assert retries(rest.api) + retries(doomed_api) > 0
        doomed_api.kill()
        load.until_more(rest.api.url)

    assert load.wrong == []
    assert load.unanswered.keys() <= {doomed_api.url}
    assert gone_after_s < 3 * BEAT_S + SLACK_S
    assert set(rest.api.workers()) == {rest.worker.url}


def retries(api: RestProcess) -> float:
    """How often a replica asked another worker."""
    return api.metric("framebus_api_prediction_retries_total")


def test_a_worker_has_taken_over_models_and_thresholds_when_it_is_ready(rest: Rest, slow_model: str) -> None:
    with rest.api.client() as client:
        data_of(client.patch(f"/models/{slow_model}/config", json={"confidence": 95}))
        [before] = rest.api.workers().values()

        newcomer = rest.installation.worker()
        newcomer.until_ready()
        answer = newcomer.predict(slow_model, PICTURE)

        assert answer.status_code == 200, answer.text
        assert answer.json()["model"]["confidence"] == 95
        assert answer.json()["objects"] == []
        rest.api.until_workers(rest.worker, newcomer)
        states = [
            [(model["name"], model["state"]) for model in worker["models"]]
            for worker in rest.api.workers().values()
        ]
        assert states == [[(model["name"], model["state"]) for model in before["models"]]] * 2
        newcomer.stop()
        rest.api.until_workers(rest.worker)
        data_of(client.patch(f"/models/{slow_model}/config", json={"confidence": None}))


def test_what_is_wrong_in_a_config_is_told_and_changes_nothing(rest: Rest) -> None:
    file = rest.installation.models / rest.model / "config.json"
    sound = file.read_text()
    stricter = json.dumps({**json.loads(sound), "confidence": 95})

    with rest.api.client() as client:

        def found() -> object:
            return data_of(predict(client, rest.model, PICTURE))

        def error() -> str | None:
            details = data_of(client.get("/models"))["details"][rest.model]
            [on_worker] = details["workers"].values()
            assert details["config_error"] == on_worker["config_error"]
            told: str | None = details["config_error"]
            return told

        assert (found(), error()) == (FOUND, None)
        try:
            file.write_text(stricter[:-10])
            seconds_until(lambda: error() is not None, "the error in /models")

            assert "config.json" in (error() or "")
            assert rest.worker.metric("framebus_model_config_refused", model=rest.model) == 1
            assert data_of(client.get(f"/models/{rest.model}/config"))["confidence"] == 50
            assert found() == FOUND

            file.write_text(stricter)
            assert seconds_until(lambda: found() == NOTHING, "the mended one") < 2 + SLACK_S
            seconds_until(lambda: error() is None, "the error to go")
            assert rest.worker.metric("framebus_model_config_refused", model=rest.model) == 0
            assert data_of(client.get(f"/models/{rest.model}/config"))["confidence"] == 95
        finally:
            file.write_text(sound)
        seconds_until(lambda: found() == FOUND, "the first one")


def test_the_ids_of_a_request_are_in_the_logs_of_api_and_worker(rest: Rest) -> None:
    ids = {"X-Request-ID": "gate-7.2026:41", "traceparent": TRACEPARENT}
    with rest.api.client() as client:
        answer = predict(client, rest.model, PICTURE, **ids)

    assert answer.headers["X-Request-ID"] == "gate-7.2026:41"
    [at_api] = rest.api.until(
        lambda: [line for line in rest.api.log("request") if line["request_id"] == "gate-7.2026:41"],
        "the line of the API",
    )
    assert at_api["path"] == f"/models/{rest.model}/predict"
    assert at_api["status"] == 200
    assert at_api["trace_id"] == TRACE_ID
    [at_worker] = rest.worker.until(
        lambda: [
            line for line in rest.worker.log("prediction") if line.get("request_id") == "gate-7.2026:41"
        ],
        "the line of the worker",
    )
    assert at_worker["model"] == rest.model
    assert at_worker["outcome"] == "answered"
    assert at_worker["traceparent"].split("-")[1] == TRACE_ID


def test_a_replica_that_is_told_to_stop_answers_what_it_has_taken(rest: Rest, slow_model: str) -> None:
    api = rest.installation.api()
    api.until_ready()
    api.until_workers(rest.worker)
    with api.client() as client, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(predict, client, slow_model, PICTURE)
        api.until_taken()

        api.send(signal.SIGTERM)

        assert not answer.done()
        assert data_of(answer.result()) == FOUND
    assert api.wait() == 0


def test_a_worker_that_is_told_to_stop_answers_what_it_has_taken(rest: Rest, slow_model: str) -> None:
    leaver = rest.installation.worker()
    leaver.until_ready()
    rest.api.until_workers(rest.worker, leaver)
    with ThreadPoolExecutor(2) as threads:
        # Two sizes, so two calls, one after the other: before the last ends, a beat tells of it.
        answers = [threads.submit(leaver.predict, slow_model, picture) for picture in (PICTURE, jpeg(32, 32))]
        seconds_until(lambda: rest.api.workers()[leaver.url]["waiting_predictions"] > 0, "the beat")

        leaver.stop()

        assert [answer.result().status_code for answer in answers] == [200, 200]
    seconds_until(lambda: set(rest.api.workers()) == {rest.worker.url}, "its farewell")

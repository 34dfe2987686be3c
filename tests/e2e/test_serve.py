"""`framebus serve`: the whole REST API in one process, where no Kafka is."""

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from framebus.errors import SettingsError
from framebus.local_broker.ports import LOOPBACK, free_ports, require_free
from tests.e2e.old_client import assert_same_boxes, run_old_script
from tests.e2e.rest_processes import (
    BROKEN,
    SLOW,
    RestProcess,
    data_of,
    predict,
    seconds_until,
    served,
    street_pictures,
    whole_picture,
)
from tests.e2e.slow_models import UNKNOWN_ENGINE
from tests.pictures import jpeg
from tests.quick_model import install_quick_model

DEFAULT_PORT = 4343
CALL_S = 0.02
CHECKOUT = Path(__file__).parents[2]
QUICK, REAL = "quick", "pedestrian"
PICTURE, FOUND = jpeg(64, 48), whole_picture(64, 48)


class Serve(NamedTuple):
    """What most tests of this module share."""

    process: RestProcess
    directory: Path


@pytest.fixture(scope="module")
def serve(models_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    directory = tmp_path_factory.mktemp("serve")
    real_models = {REAL: models_directory / REAL}
    with served(directory, QUICK, call_s=CALL_S, real_models=real_models) as process:
        yield Serve(process, directory)


def test_a_script_for_the_old_service_runs_unchanged(serve: Serve, street: Path) -> None:
    [picture] = street_pictures(street, 30)

    boxes = run_old_script(serve.process.url, REAL, BROKEN, picture)

    with serve.process.client() as client:
        assert_same_boxes(data_of(predict(client, REAL, picture))["bounding-boxes"], boxes)
        details = data_of(client.get("/models"))["details"]
    assert {name: one["state"] for name, one in details.items()} == {
        QUICK: "loaded",
        REAL: "loaded",
        SLOW: "loaded",
        BROKEN: "failed",
    }
    assert UNKNOWN_ENGINE in details[BROKEN]["error"]
    assert not [line for line in serve.process.log() if "broker" in line["event"]]


def test_every_endpoint_answers(serve: Serve) -> None:
    image = {"input_data": ("picture.jpg", PICTURE, "image/jpeg")}
    requests: dict[str, dict[str, Any]] = {
        "GET /load": {},
        "POST /load": {},
        "POST /detect": {"data": {"model": QUICK}, "files": {"image": image["input_data"]}},
        "POST /get_labels": {"data": {"model": QUICK}},
        "GET /models": {},
        "GET /models/{model}/load": {},
        "POST /models/{model}/load": {"params": {"force": "true"}},
        "GET /models/{model}/labels": {},
        "GET /models/{model}/config": {},
        "PATCH /models/{model}/config": {"json": {"predictions": 3}},
        "POST /models/{model}/predict": {"files": image},
        "POST /models/{model}/predict_image": {"files": image},
        "POST /models/{model}/predict_batch": {"files": [*image.items()] * 3},
        "POST /models/{model}/unload": {},
        "GET /workers": {},
        "GET /cameras": {},
        "GET /session": {},
        "POST /login": {"json": {"token": "none is set, so any will do"}},
        "POST /logout": {},
        "GET /healthz": {},
        "GET /readyz": {},
        "GET /metrics": {},
    }
    with serve.process.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        assert {f"{method.upper()} {path}" for path in paths for method in paths[path]} == {
            *requests,
            "POST /live",
        }

        for name, arguments in requests.items():
            method, path = name.split()
            answer = client.request(method, path.format(model=QUICK), **arguments)

            assert answer.status_code == 200, (name, answer.text)
            if answer.headers["content-type"] == "application/json":
                assert answer.json().get("success", True), (name, answer.text)
        assert "swagger-ui" in client.get("/docs").text
        assert "<title>framebus</title>" in client.get("/").text
        live = client.post("/live", json={"model": QUICK, "cameras": {"gate": None}}).json()
        assert (live["success"], live["error"]) == (False, "no camera can be here: this process has no Kafka")
        assert "framebus_predictions_total" in client.get("/metrics").text, "the worker's are there, too"


def test_what_was_desired_is_done(serve: Serve) -> None:
    def states() -> dict[str, str]:
        [worker] = serve.process.workers().values()
        return {model["name"]: model["state"] for model in worker["models"]}

    with serve.process.client() as client:
        assert data_of(predict(client, QUICK, PICTURE)) == FOUND  # and is loaded by that
        assert states()[QUICK] == "loaded"
        data_of(client.patch(f"/models/{QUICK}/config", json={"confidence": 90.5}))
        assert data_of(predict(client, QUICK, PICTURE)) == {"bounding-boxes": []}
        config = data_of(client.get(f"/models/{QUICK}/config"))
        assert (config["confidence"], "confidence" in config["overridden"]) == (90.5, True)
        data_of(client.patch(f"/models/{QUICK}/config", json={"confidence": None}))
        assert data_of(predict(client, QUICK, PICTURE)) == FOUND
        data_of(client.post(f"/models/{QUICK}/unload"))
        assert QUICK not in states()


def test_rest_adds_little_to_the_engine(serve: Serve) -> None:
    with serve.process.client() as client:
        predict(client, QUICK, PICTURE)

        # An idle machine stays below ten; what an acknowledgement costs that comes late is forty, on any.
        assert any(median_s(client) - CALL_S < 0.035 for _ in range(3))


def median_s(client: httpx.Client) -> float:
    """How long a request takes."""
    times_s = []
    for _ in range(20):
        began_s = time.perf_counter()
        data_of(predict(client, QUICK, PICTURE))
        times_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s)


def test_the_first_request_finds_its_worker(tmp_path: Path) -> None:
    environment = install_quick_model(tmp_path, QUICK, call_s=0)
    process = RestProcess("serve", "serve", environment=environment, directory=tmp_path)
    try:
        with process.client() as client:
            process.until(lambda: is_open(process.url), "the port to be open")

            assert client.get("/load").json().keys() == {QUICK}
            assert data_of(predict(client, QUICK, PICTURE)) == FOUND
    finally:
        process.kill()


def is_open(url: str) -> bool:
    """Whether a server listens there."""
    try:
        socket.create_connection((LOOPBACK, int(url.rpartition(":")[2]))).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_was_taken_is_answered_before_it_stops(tmp_path: Path) -> None:
    with served(tmp_path, QUICK) as process, process.client() as client:
        data_of(client.get(f"/models/{SLOW}/load"))
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(predict, client, SLOW, PICTURE)
            process.until_taken()

            process.send(signal.SIGTERM)

            assert not answer.done()
            assert data_of(answer.result()) == FOUND
        assert process.wait() == 0


def test_it_listens_where_the_old_service_did(tmp_path: Path) -> None:
    try:
        require_free(DEFAULT_PORT)
    except SettingsError as taken:
        pytest.skip(str(taken))
    command = [sys.executable, "-m", "framebus.cli", "serve"]
    environment = {**os.environ, **install_quick_model(tmp_path, QUICK, call_s=0)}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stderr=log) as process,
    ):
        try:
            seconds_until(lambda: is_open(f"http://{LOOPBACK}:{DEFAULT_PORT}"), "the port to be open", 60)
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("command", ["serve", "api"])
def test_a_port_that_is_taken_is_named(command: str, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        done = run(
            command,
            **install_quick_model(tmp_path, QUICK, call_s=0),
            FRAMEBUS_API__PORT=str(port),
            FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS=f"{LOOPBACK}:{free_ports(1)[0]}",
        )

    assert done.returncode == 2, done.stderr
    assert f"cannot listen on {LOOPBACK}:{port}" in done.stderr.splitlines()[-1]
    assert "FRAMEBUS_API__PORT" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "words"), [("serve", ("REST", "without Kafka", "--engine")), ("api", ("REST",))]
)
def test_the_help_says_what_it_does_and_where(command: str, words: tuple[str, ...]) -> None:
    done = run(command, "--help", COLUMNS="200")

    assert done.returncode == 0, done.stderr
    for word in (*words, "FRAMEBUS_API__PORT", str(DEFAULT_PORT)):
        assert word in done.stdout


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a `framebus` command to its end, which has to come soon."""
    return subprocess.run(
        [sys.executable, "-m", "framebus.cli", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

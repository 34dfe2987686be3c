"""`docker compose --profile cpu up`, and what its user does then."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx
import pytest

from tests.docker.compose import Compose, inspect, is_healthy, run
from tests.docker.conftest import ADDRESS
from tests.integration.accounts import Account, account, uncommitted
from tests.pictures import jpeg
from tests.workers import wait_until

API = f"http://{ADDRESS}:4343"
PROMETHEUS = "http://127.0.0.1:9090"
BROKER = f"{ADDRESS}:9094"
PATIENCE_S = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def get(url: str, query: Mapping[str, str] | None = None) -> Any:
    """The data that is answered; None as long as nobody answers."""
    try:
        return httpx.get(url, params=query, timeout=10).raise_for_status().json()["data"]
    except httpx.HTTPError:
        return None


def ready_workers() -> int:
    return sum(worker["is_ready"] for worker in get(f"{API}/workers") or [])


def measured(query: str) -> float:
    """What Prometheus says of all that it scraped."""
    answer = get(f"{PROMETHEUS}/api/v1/query", {"query": query})
    values = answer["result"] if answer else []
    return float(values[0]["value"][1]) if values else 0.0


def test_the_stack(stack: Compose) -> None:
    """One story, for its parts build on each other: frames in, detections out, scaled out and in again."""
    wait_until(lambda: ready_workers() == 1, PATIENCE_S)
    for service in ("control-api", "consumer", "producer"):
        [container] = stack.containers(service)
        wait_until(partial(is_healthy, container), PATIENCE_S)

    # REST, beside the streams.
    files = {"input_data": ("picture.jpg", jpeg(), "image/jpeg")}
    predicted = httpx.post(f"{API}/models/pedestrian/predict", files=files, timeout=60)
    assert predicted.status_code == 200, predicted.text
    assert predicted.json()["success"] is True

    # Prometheus finds the programs by their names, and their metrics.
    wait_until(lambda: measured("sum(framebus_frames_total)") > 100, PATIENCE_S)
    for job in ("framebus-consumer", "framebus-producer", "framebus-control-api"):
        assert measured(f'sum(up{{job="{job}"}})') == 1, job

    # Out to two, and in again while frames come: the one that is stopped finishes what it has.
    scale_consumers(stack, 2)
    newest, *_ = stack.containers("consumer")
    run("docker", "stop", "-t", "60", newest)
    assert inspect(newest)["State"]["ExitCode"] == 0
    assert accounts_after_a_pause(stack).is_flawless()

    # One that is killed has its frames done by the other, some of them again.
    stack.up(["producer"])
    scale_consumers(stack, 2)
    run("docker", "kill", stack.containers("consumer")[0])
    wait_until(lambda: ready_workers() == 1, PATIENCE_S)
    after = accounts_after_a_pause(stack)
    assert (after.lost, after.dead, after.out_of_order, after.unrecognisable) == (0, 0, 0, 0)


def scale_consumers(stack: Compose, count: int) -> None:
    stack.up(["consumer"], consumer=count)
    wait_until(lambda: ready_workers() == count, PATIENCE_S)
    wait_until(lambda: measured('count(up{job="framebus-consumer"} == 1)') == count, PATIENCE_S)


def accounts_after_a_pause(stack: Compose) -> Account:
    """What became of every frame until now: producers are stopped, and consumers finish what there is."""
    stack.stop("producer")
    wait_until(lambda: uncommitted(BROKER, "framebus.pedestrian", "frames") == 0, PATIENCE_S)
    return account(BROKER, "frames", "detections.pedestrian", "frames.dead")

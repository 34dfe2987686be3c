"""Who is answered on a worker's HTTP port."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.pictures import jpeg
from tests.worker_port import BEARER, MAX_BYTES, TOKEN, Port, opened, trouble


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Authorization": f"Bearer {'x' * 10_000}"},
        {"X-Token": TOKEN},
    ],
)
def test_without_the_token_nobody_is_answered_and_nothing_is_read(
    port: Port, headers: dict[str, str]
) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield jpeg()

    message = trouble(port.ask(body(), headers=headers), 401, "unauthorized")

    assert not read
    assert TOKEN not in message
    assert port.engine.calls == []


def test_bytes_that_are_no_text_are_no_token(port: Port) -> None:
    async def ask() -> httpx.Response:
        async with port.client() as client:
            return await client.post(
                "/models/ssd/predict", content=jpeg(), headers=[(b"authorization", b"Bearer \xff\xfe")]
            )

    trouble(asyncio.run(ask()), 401, "unauthorized")


def test_a_token_may_be_any_text() -> None:
    token = "größe-und-länge-des-tokens"
    with opened(token=token) as port:

        async def ask() -> httpx.Response:
            async with port.client() as client:
                headers = [(b"authorization", f"Bearer {token}".encode())]
                return await client.post("/models/ssd/predict", content=jpeg(), headers=headers)

        assert asyncio.run(ask()).status_code == 200


def test_which_models_are_here_is_told_to_nobody_without_the_token(port: Port) -> None:
    answers = [port.ask(model=model).json() for model in ("ssd", "coco")]

    assert answers[0] == answers[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_a_worker_that_only_its_machine_reaches_needs_no_token(host: str) -> None:
    with opened(token=None, host=host) as port:
        assert port.ask().status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.7", "worker.example", "localhost.example"])
def test_a_worker_that_others_reach_answers_nobody_without_a_token(host: str) -> None:
    with opened(token=None, host=host) as port:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
            message = trouble(port.ask(headers=headers), 401, "unauthorized")
            assert "FRAMEBUS_CONTROL__WORKER_TOKEN" in message


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_and_metrics_need_no_token(port: Port, path: str) -> None:
    async def get() -> httpx.Response:
        async with port.client() as client:
            return await client.get(path)

    assert asyncio.run(get()).status_code == 200


def test_names_that_strangers_make_up_never_reach_the_metrics(port: Port) -> None:
    for number in range(5):
        port.ask(model=f"made-up-{number}")
        port.ask(model=f"made-up-{number}", headers=BEARER)
        port.ask(bytes(MAX_BYTES + 1), model=f"made-up-{number}", headers=BEARER)
    port.predictions.close()
    port.ask(model="made-up", headers=BEARER)

    assert {model for model, _ in port.counted()} == {""}
    assert sum(port.counted().values()) == 16

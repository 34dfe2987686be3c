import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from framebus.health import HttpServer
from framebus.wire import detections_from_json
from tests.engines import ScriptedEngine
from tests.pictures import jpeg
from tests.pipelines import wait_until
from tests.worker_port import BEARER, MAX_BYTES, TOKEN, Port, opened, trouble


def test_a_picture_is_answered_with_the_message_that_stands_on_the_bus(port: Port) -> None:
    response = port.ask(jpeg(64, 48), headers=BEARER)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    detections, labels = detections_from_json(response.json())
    assert (detections.width, detections.height, len(detections), labels) == (64, 48, 1, {1: "person"})
    assert response.json()["timing"]["batchSize"] == 1
    assert port.counted() == {("ssd", "answered"): 1}


@pytest.mark.parametrize("data", [b"", b"text as a picture", jpeg()[:400], b"\xff\xd8\xff"])
def test_what_is_no_picture_is_undecodable(port: Port, data: bytes) -> None:
    trouble(port.ask(data, headers=BEARER), 400, "undecodable")

    assert port.counted() == {("ssd", "undecodable"): 1}
    assert port.engine.calls == []


def test_a_picture_of_very_many_pixels_is_too_large() -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (100_000).to_bytes(4, "big") * 2
    with opened(max_frame_pixels=1_000_000) as port:
        message = trouble(port.ask(header, headers=BEARER), 413, "too_large")

    assert "100000x100000 pixels" in message


def test_a_body_of_very_many_bytes_is_too_large_and_is_not_read_to_its_end(port: Port) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 2 * 2**30:
            sent += 10_000
            yield bytes(10_000)

    message = trouble(port.ask(endless(), headers=BEARER), 413, "too_large")

    assert f"more than {MAX_BYTES} bytes" in message
    assert sent <= MAX_BYTES + 20_000


def test_a_body_that_is_just_as_large_as_allowed_is_read(port: Port) -> None:
    picture = jpeg()
    padded = picture + bytes(MAX_BYTES - len(picture))

    assert port.ask(padded, headers=BEARER).status_code == 200
    trouble(port.ask(padded + b"\0", headers=BEARER), 413, "too_large")


def test_a_picture_that_the_engine_refuses_is_told_so() -> None:
    with opened(engine=ScriptedEngine(poison=lambda _: True)) as port:
        trouble(port.ask(headers=BEARER), 422, "detection_failed")


def test_a_model_that_is_not_here_is_not_loaded(port: Port) -> None:
    assert "coco" in trouble(port.ask(model="coco", headers=BEARER), 404, "not_loaded")


@pytest.mark.parametrize("model", ["..%2f..%2fetc", "%2e%2e%2f", "a%00b", "%ff", "x" * 2_000, "..", "."])
def test_a_name_that_is_no_models_is_nothing_more_than_not_here(port: Port, model: str) -> None:
    response = port.ask(model=model, headers=BEARER)

    assert response.status_code == 404


def test_too_many_that_wait_are_refused_as_busy() -> None:
    with opened(max_waiting_predictions=1) as port:
        port.engine.gate.clear()

        async def two() -> httpx.Response:
            async with port.client() as client:
                first = asyncio.create_task(
                    client.post("/models/ssd/predict", content=jpeg(), headers=BEARER)
                )
                await asyncio.to_thread(wait_until, lambda: len(port.predictions) == 1)
                second = await client.post("/models/ssd/predict", content=jpeg(), headers=BEARER)
                port.engine.gate.set()
                assert (await first).status_code == 200
                return second

        trouble(asyncio.run(two()), 429, "busy")
        assert port.counted() == {("ssd", "answered"): 1, ("ssd", "busy"): 1}


@pytest.mark.parametrize("deadline_ms", ["0", "50", "-1"])
def test_who_waits_no_longer_hears_of_the_deadline(port: Port, deadline_ms: str) -> None:
    port.engine.gate.clear()

    response = port.ask(headers={**BEARER, "X-Deadline-Ms": deadline_ms})

    trouble(response, 504, "deadline")


@pytest.mark.parametrize("deadline_ms", ["", "soon", "1e3", "nan", "9" * 5_000])
def test_a_deadline_that_is_no_number_is_none(port: Port, deadline_ms: str) -> None:
    assert port.ask(headers={**BEARER, "X-Deadline-Ms": deadline_ms}).status_code == 200


def test_a_worker_that_stops_says_so(port: Port) -> None:
    port.predictions.close()

    trouble(port.ask(headers=BEARER), 503, "stopping")


def test_only_a_post_asks_for_a_prediction(port: Port) -> None:
    async def get() -> httpx.Response:
        async with port.client() as client:
            return await client.get("/models/ssd/predict", headers=BEARER)

    assert asyncio.run(get()).status_code == 405


def test_each_prediction_is_logged_with_what_finds_it_again(port: Port) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with capture_logs() as lines:
        port.ask(headers={**BEARER, "traceparent": trace, "X-Request-ID": "r-1"})
        port.ask(model="coco", headers={**BEARER, "X-Request-ID": "r" * 5_000})
    lines = [line for line in lines if line["event"] == "prediction"]

    assert [line["outcome"] for line in lines] == ["answered", "not_loaded"]
    assert (lines[0]["traceparent"], lines[0]["request_id"]) == (trace, "r-1")
    assert lines[0]["took_ms"] > 0
    assert len(lines[1]["request_id"]) <= 200
    assert TOKEN not in str(lines)


def test_a_client_that_hangs_up_is_no_prediction_that_was_answered(port: Port) -> None:
    with capture_logs():
        asyncio.run(hang_up(port))

    assert port.counted() == {("ssd", "gone"): 1}


async def hang_up(port: Port) -> None:
    """Sends the beginning of a picture, as uvicorn would tell of it."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"\xff\xd8", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(_: Any) -> None:
        """Nobody listens."""

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/models/ssd/predict",
        "raw_path": b"/models/ssd/predict",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await port.app(scope, receive, send)


def test_it_all_works_over_a_real_port() -> None:
    with opened() as port:
        server = HttpServer(port.app, "127.0.0.1", 0, port_setting="FRAMEBUS_CONSUMER__HTTP_PORT")
        url = f"http://127.0.0.1:{server.start()}/models/ssd/predict"
        try:
            with httpx.Client(trust_env=False, timeout=60, headers=BEARER) as client:
                assert client.post(url, content=jpeg()).status_code == 200
                trouble(client.post(url, content=b"text"), 400, "undecodable")
                trouble(client.post(url, content=jpeg(), headers={"Authorization": "x"}), 401, "unauthorized")
                assert client.post(url, content=jpeg()).status_code == 200
        finally:
            server.stop()

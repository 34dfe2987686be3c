"""Bodies that are too large, as a hostile client sends them: slowly, without end, or with a false length."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_api.body_limit import body_limit_bytes
from framebus.settings import ApiSettings
from tests.unit.control_api.clients import error
from tests.unit.control_api.conftest import Api, Installation, settings_for, write_models

LIMITS: dict[str, Any] = {"max_image_bytes": 1_000_000, "max_images": 2}
ENDPOINTS = [
    "/detect",
    "/models/people/predict",
    "/models/people/predict_image",
    "/models/people/predict_batch",
]
FORM = "multipart/form-data; boundary=x"
START = b'--x\r\nContent-Disposition: form-data; name="input_data"; filename="a.jpg"\r\n\r\n'


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    models: Path = write_models(tmp_path_factory.mktemp("limited") / "models")
    installation = Installation(models)
    yield installation.start_api(settings_for(models, **LIMITS))
    installation.stop()


def connect(api: Api) -> socket.socket:
    host, port = api.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


@pytest.mark.parametrize("path", [*ENDPOINTS, "/get_labels"])
def test_a_length_that_is_too_large_is_refused_before_anything_is_sent(limited: Api, path: str) -> None:
    with connect(limited) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: api\r\nContent-Type: {FORM}\r\n"
            f"Content-Length: {2 * 10**9}\r\nExpect: 100-continue\r\n\r\n".encode()
        )

        received = answer(connection)

    assert received.startswith(b"HTTP/1.1 413 ")  # and not 100
    assert b'"Invalid input data: the body is larger than ' in received


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_body_without_a_length_is_refused_where_it_is_too_large(limited: Api, path: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield START
        while sent < 30_000_000:
            sent += 500_000
            yield b"\xff" * 500_000

    # The answer reaches even a client that listens only after it has sent everything.
    response = limited.http.post(path, content=endless(), headers={"Content-Type": FORM})

    status, said = error(response)
    assert status == 413
    assert said.startswith("Invalid input data: the body is larger than ")


def test_a_client_that_listens_is_answered_while_it_sends(limited: Api) -> None:
    with connect(limited) as connection:
        connection.sendall(
            b"POST /models/people/predict HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        connection.sendall(b"%x\r\n%b\r\n" % (len(START), START))
        for _ in range(30):
            connection.sendall(b"186a0\r\n" + b"\xff" * 100_000 + b"\r\n")

        assert answer(connection).startswith(b"HTTP/1.1 413 ")


def test_the_connection_is_of_use_after_a_refusal(limited: Api) -> None:
    with httpx.Client(base_url=limited.url, trust_env=False) as client:
        for _ in range(3):
            too_large = client.post(
                "/models/people/predict", files={"input_data": ("a.jpg", b"\xff" * 3_000_000)}
            )
            assert too_large.status_code == 413
            assert client.get("/models").status_code == 200


def test_json_is_limited_too(limited: Api) -> None:
    response = limited.http.patch("/models/people/config", json={"confidence": 5, "x": "y" * 100_000})

    assert response.status_code == 413
    assert limited.http.post("/login", json={"token": "y" * 100_000}).status_code == 413


def test_a_length_that_is_no_number_is_no_failure(limited: Api) -> None:
    with connect(limited) as connection:
        connection.sendall(b"POST /detect HTTP/1.1\r\nHost: api\r\nContent-Length: many\r\n\r\n")

        assert connection.recv(1_000).startswith(b"HTTP/1.1 400 ")


def test_every_endpoint_takes_what_it_is_for() -> None:
    settings = ApiSettings(max_image_bytes=10_000_000, max_images=3)

    for path in ("/detect", "/models/people/predict", "/models/people/predict_image"):
        assert 10_000_000 < body_limit_bytes(path, settings) < 10_100_000
    assert 30_000_000 < body_limit_bytes("/models/people/predict_batch", settings) < 30_100_000
    for path in ("/login", "/get_labels", "/models/people/config"):
        assert body_limit_bytes(path, settings) < 100_000

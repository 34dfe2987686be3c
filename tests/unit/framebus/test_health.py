import socket
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from framebus.errors import SettingsError
from framebus.health import HttpServer, health_app

PORT_SETTING = "FRAMEBUS_CONSUMER__HTTP_PORT"


class Program:
    """What a program says of itself, as a test decides."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.trouble_alive: str | None = None
        self.trouble_ready: str | None = None

    def app(self, *routes: Route) -> Starlette:
        return health_app(
            self.registry,
            alive=lambda: self.trouble_alive,
            ready=lambda: self.trouble_ready,
            routes=routes,
        )


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
def server(program: Program) -> Iterator[str]:
    server = HttpServer(program.app(), "127.0.0.1", 0, port_setting=PORT_SETTING)
    port = server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def get(url: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.get(url)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_program_in_good_health_says_so(server: str, path: str) -> None:
    response = get(server + path)

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_a_program_that_is_not_ready_is_alive_and_says_why(server: str, program: Program) -> None:
    program.trouble_ready = "model ssd is loading"

    response = get(f"{server}/readyz")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "reason": "model ssd is loading"}
    assert get(f"{server}/healthz").status_code == 200


def test_a_program_that_hangs_is_not_alive_and_says_why(server: str, program: Program) -> None:
    program.trouble_alive = "the pipeline stands still"

    response = get(f"{server}/healthz")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "reason": "the pipeline stands still"}


def test_metrics_are_those_of_the_programs_registry_as_they_are_now(server: str, program: Program) -> None:
    frames = Counter("framebus_frames_total", "Frames.", ["camera"], registry=program.registry)
    frames.labels("cam-1").inc(3)

    response = get(f"{server}/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'framebus_frames_total{camera="cam-1"} 3.0' in response.text.splitlines()
    frames.labels("cam-1").inc()
    assert 'framebus_frames_total{camera="cam-1"} 4.0' in get(f"{server}/metrics").text


def test_a_program_has_routes_of_its_own_beside_those_of_all(program: Program) -> None:
    def hello(_: Request) -> Response:
        return PlainTextResponse("hello")

    server = HttpServer(program.app(Route("/hello", hello)), "127.0.0.1", 0, port_setting=PORT_SETTING)
    port = server.start()
    try:
        assert get(f"http://127.0.0.1:{port}/hello").text == "hello"
        assert get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert get(f"http://127.0.0.1:{port}/unknown").status_code == 404
    finally:
        server.stop()


def test_a_port_that_is_taken_is_refused_with_the_remedy(program: Program, server: str) -> None:
    port = httpx.URL(server).port
    assert port is not None
    second = HttpServer(program.app(), "127.0.0.1", port, port_setting=PORT_SETTING)

    with pytest.raises(
        SettingsError,
        match=rf"cannot listen on 127\.0\.0\.1:{port} .*in use.*FRAMEBUS_CONSUMER__HTTP_PORT, or 0 for",
    ):
        second.start()

    second.stop()
    assert get(f"{server}/healthz").status_code == 200


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_refused(program: Program, host: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host}:0 "):
        HttpServer(program.app(), host, 0, port_setting=PORT_SETTING).start()


def test_a_stopped_server_gives_its_port_back(program: Program) -> None:
    first = HttpServer(program.app(), "127.0.0.1", 0, port_setting=PORT_SETTING)
    port = first.start()
    get(f"http://127.0.0.1:{port}/healthz")
    first.stop()

    second = HttpServer(program.app(), "127.0.0.1", port, port_setting=PORT_SETTING)

    assert second.start() == port
    second.stop()
    with pytest.raises(httpx.ConnectError):
        get(f"http://127.0.0.1:{port}/healthz")


def test_a_server_can_be_stopped_at_once(program: Program) -> None:
    server = HttpServer(program.app(), "127.0.0.1", 0, port_setting=PORT_SETTING)
    port = server.start()
    server.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_ipv6_address_is_listened_on(program: Program) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    server = HttpServer(program.app(), "::1", 0, port_setting=PORT_SETTING)
    port = server.start()
    try:
        assert get(f"http://[::1]:{port}/healthz").status_code == 200
    finally:
        server.stop()

import ipaddress
import socket

import httpx
import pytest
from starlette.applications import Starlette

from consumer.address import own_address
from framebus.environment import load_settings
from framebus.health import HttpServer


def address(host: str, *, broker: str = "127.0.0.1:9092", told: str | None = None, port: int = 9101) -> str:
    settings = load_settings(
        consumer={"http_host": host, "http_address": told}, kafka={"bootstrap_servers": broker}
    )
    return own_address(settings, port)


def host_of(url: str) -> str:
    assert url.startswith("http://")
    assert url.endswith(":9101")
    return url.removeprefix("http://").removesuffix(":9101")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::"])
def test_what_the_settings_tell_wins_over_all(host: str) -> None:
    assert address(host, told="https://worker.example:443") == "https://worker.example:443"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:9101"),
        ("10.0.0.7", "http://10.0.0.7:9101"),
        ("worker-1", "http://worker-1:9101"),
        ("::1", "http://[::1]:9101"),
        ("fd00::7", "http://[fd00::7]:9101"),
    ],
)
def test_a_worker_is_reached_where_it_listens(host: str, expected: str) -> None:
    assert address(host) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
@pytest.mark.parametrize("broker", ["127.0.0.1:9092", "127.0.0.1:9092,broker.invalid:9092", "localhost:9092"])
def test_who_listens_everywhere_is_reached_at_the_address_that_the_broker_sees(
    host: str, broker: str
) -> None:
    assert address(host, broker=broker) == "http://127.0.0.1:9101"


def test_the_address_towards_another_machine_is_one_of_this_machine() -> None:
    host = host_of(address("0.0.0.0", broker="192.0.2.1:9092"))
    if host == socket.gethostname():
        pytest.skip("there is no way out of this machine")

    with socket.socket() as own:
        own.bind((host, 0))
    assert not ipaddress.ip_address(host).is_unspecified


@pytest.mark.parametrize(
    "broker",
    [
        "broker.invalid:9092",
        "broker.invalid",
        ":9092",
        ":",
        "x:y",
        "PLAINTEXT://broker.invalid:9092",
        "[::1]:9092",
    ],
)
def test_a_broker_that_shows_no_way_leaves_the_name_of_this_host(broker: str) -> None:
    host = host_of(address("0.0.0.0", broker=broker))

    # An address of the other family would be one where nobody listens.
    assert host == socket.gethostname() or ipaddress.ip_address(host).version == 4


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
@pytest.mark.parametrize("broker", ["127.0.0.1:9092", "[::1]:9092"])
def test_who_listens_on_ipv6_alone_is_told_of_with_no_address_of_ipv4(broker: str) -> None:
    host = host_of(address("::", broker=broker))

    assert host in (socket.gethostname(), "[::1]")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "", "::1", "::"])
def test_the_address_that_is_told_is_answered(host: str) -> None:
    server = HttpServer(Starlette(), host, 0, port_setting="FRAMEBUS_CONSUMER__HTTP_PORT")
    broker = "[::1]:9092" if ":" in host else "127.0.0.1:9092"
    try:
        port = server.start()
    except Exception as error:
        if ":" not in host:
            raise
        pytest.skip(f"no IPv6 here: {error}")
    try:
        with httpx.Client(trust_env=False, timeout=30) as client:
            assert client.get(address(host, broker=broker, port=port)).status_code == 404
    finally:
        server.stop()

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.rest_clients import RestClients
from framebus.errors import FramebusError
from framebus.local_broker.ports import LOOPBACK, free_ports

CONNECTIONS = 3
DEADLINE_S = 60.0
GOOD = json.dumps({"data": {"bounding-boxes": []}, "error": "", "success": True}).encode()

Answer = Callable[[BaseHTTPRequestHandler, bytes], bytes | None]
"""Gets a request and its body; None closes the connection."""


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Answers posts over connections that stay open; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = answer(self, self.rfile.read(int(self.headers["Content-Length"])))
            if said is None:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        try:
            yield httpd.server_address[1]
        finally:
            httpd.shutdown()
            thread.join()


def measure(video: Path, port: int, concurrency: int = 1) -> dict[str, float]:
    return RestClients(video).measure(port, "cups", concurrency, 0.2, os.getpid())


def test_each_connection_stays_open_and_sends_pictures(video: Path) -> None:
    all_there = threading.Barrier(CONNECTIONS)
    peers: list[tuple[str, int]] = []
    bodies: list[tuple[str, str, bytes]] = []

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> bytes:
        if request.client_address not in peers:
            peers.append(request.client_address)
            all_there.wait(DEADLINE_S)  # which it is only with as many requests at once
        bodies.append((request.path, request.headers["Content-Type"], body))
        return GOOD

    with server(answer) as port:
        figures = measure(video, port, CONNECTIONS)

    assert len(peers) == CONNECTIONS
    path, content_type, body = bodies[-1]
    assert path == "/models/cups/predict"
    form = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=policy.HTTP)
    [part] = form.iter_parts()
    assert part.get_param("name", header="content-disposition") == "input_data"
    assert part.get_filename()
    assert part.get_payload(decode=True) in read_footage(video).jpegs
    # The first answer of each connection is for warming up, and the last ones come after the window.
    assert 0.2 * figures["requests_per_s"] <= len(bodies) - CONNECTIONS
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["cpu_ms_per_request"] >= 0
    assert figures["client_cpu_ms_per_request"] > 0


def test_a_refusal_is_told_of(video: Path) -> None:
    refusal = json.dumps({"data": None, "error": "Model not found", "success": False}).encode()

    with server(lambda *_: refusal) as port, pytest.raises(FramebusError, match="Model not found"):
        measure(video, port)


def test_an_answer_that_is_no_json_is_told_of(video: Path) -> None:
    with server(lambda *_: b"<html>") as port, pytest.raises(FramebusError, match="no JSON: <html>"):
        measure(video, port)


def test_a_server_that_closes_a_connection_is_told_of(video: Path) -> None:
    with server(lambda *_: None) as port, pytest.raises(FramebusError, match="closed the connection"):
        measure(video, port)


def test_a_server_that_is_not_there_is_told_of(video: Path) -> None:
    [port] = free_ports(1)

    with pytest.raises(FramebusError, match="cannot be reached"):
        measure(video, port)

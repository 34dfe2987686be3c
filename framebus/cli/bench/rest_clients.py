"""Clients of the REST API that do as little as clients can: they share the cores with what they measure."""

import asyncio
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.usage import Usage
from framebus.errors import FramebusError
from framebus.local_broker.ports import LOOPBACK

_STUCK_S = 120.0
_BOUNDARY = "a-picture-ends-here"
_HEAD_END = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class RestClients:
    """Sends pictures and reads answers, and nothing else; to run in a process of its own (`child.Child`).

    Args:
        video: Where the pictures come from; they are sent as JPEG.
    """

    def __init__(self, video: Path) -> None:
        self._jpegs = read_footage(video).jpegs

    def measure(
        self, port: int, model: str, concurrency: int, seconds: float, server_pid: int
    ) -> dict[str, float]:
        """Keeps so many requests on their way, each on a connection of its own that stays open.

        The window begins when every connection has had an answer, and ends with the first answer after
        `seconds`. Then the last requests are answered, so that the server is idle again.

        Args:
            port: Of the API, on loopback.
            model: Name of a model that is loaded.
            concurrency: Connections; each sends its next picture when it has the answer to the last.
            seconds: Length of the window.
            server_pid: The server's process.

        Returns:
            requests_per_s; p50_ms and p99_ms from a request's first byte to the last of its answer;
            cpu_ms_per_request of the server, and client_cpu_ms_per_request of these clients.

        Raises:
            FramebusError: The server refused a request, or does not get on.
        """
        requests = [_request(model, jpeg) for jpeg in self._jpegs]
        return asyncio.run(_Load(requests, concurrency, seconds, server_pid).run(port))


def _request(model: str, jpeg: bytes) -> bytes:
    disposition = 'form-data; name="input_data"; filename="frame.jpg"'
    opening = f"--{_BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
    body = opening.encode() + jpeg + f"\r\n--{_BOUNDARY}--\r\n".encode()
    head = (
        f"POST /models/{model}/predict HTTP/1.1\r\nHost: {LOOPBACK}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(frozen=True, slots=True)
class _Mark:
    """One end of the window."""

    at_s: float
    server_cpu_s: float
    client_cpu_s: float


class _Load:
    def __init__(self, requests: Sequence[bytes], concurrency: int, seconds: float, server_pid: int) -> None:
        self._requests = requests
        self._sent = 0
        self._concurrency = concurrency
        self._seconds = seconds
        self._server_pid = server_pid
        self._unanswered = concurrency
        self._open = concurrency
        self._took_ms: list[float] = []
        self._begin: _Mark | None = None
        self._end: _Mark | None = None

    async def run(self, port: int) -> dict[str, float]:
        loop = asyncio.get_running_loop()
        self._all_closed = loop.create_future()
        try:
            async with asyncio.timeout(self._seconds + _STUCK_S):
                for _ in range(self._concurrency):
                    await loop.create_connection(lambda: _Connection(self), LOOPBACK, port)
                await self._all_closed
        except TimeoutError as error:
            raise FramebusError("the REST API does not answer any more") from error
        except OSError as error:
            raise FramebusError(f"the REST API cannot be reached: {error}") from error
        return self._figures()

    def next_request(self) -> bytes | None:
        """What a connection sends next; None: no more."""
        if self._end is not None or self._all_closed.done():
            return None
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        return request

    def answered(self, took_ms: float, *, is_first: bool) -> None:
        """A connection has had an answer; the first one of each is for warming up."""
        self._unanswered -= is_first
        if self._end is not None or self._unanswered:
            return
        if self._begin is None:
            self._begin = self._mark()
            return
        self._took_ms.append(took_ms)
        if len(self._took_ms) > 1 and time.perf_counter() - self._begin.at_s >= self._seconds:
            self._end = self._mark()

    def closed(self) -> None:
        """A connection is closed."""
        self._open -= 1
        if not self._open and not self._all_closed.done():
            self._all_closed.set_result(None)

    def failed(self, why: str) -> None:
        """An answer was none."""
        if not self._all_closed.done():
            self._all_closed.set_exception(FramebusError(f"the REST API did not answer a picture: {why}"))

    def _mark(self) -> _Mark:
        return _Mark(time.perf_counter(), Usage.of([self._server_pid]).cpu_s, time.process_time())

    def _figures(self) -> dict[str, float]:
        begin, end, requests = self._begin, self._end, len(self._took_ms)
        assert begin is not None
        assert end is not None  # no connection is closed before
        return {
            "requests_per_s": requests / (end.at_s - begin.at_s),
            "p50_ms": statistics.median(self._took_ms),
            "p99_ms": statistics.quantiles(self._took_ms, n=100, method="inclusive")[98],
            "cpu_ms_per_request": 1000 * (end.server_cpu_s - begin.server_cpu_s) / requests,
            "client_cpu_ms_per_request": 1000 * (end.client_cpu_s - begin.client_cpu_s) / requests,
        }


class _Connection(asyncio.Protocol):
    """One client: HTTP/1.1 as far as these answers need it (RFC 9112)."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = bytearray()
        self._is_first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = self._load.next_request()
        if request is None:
            self._transport.close()
            return
        self._began_s = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        length = _CONTENT_LENGTH.search(self._received, 0, head_end)
        if length is None:
            self._fail("its length is not given")
            return
        body_start = head_end + len(_HEAD_END)
        if len(self._received) < body_start + int(length[1]):
            return
        took_ms = (time.perf_counter() - self._began_s) * 1000
        body = bytes(self._received[body_start:])
        self._received.clear()
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            self._fail(f"no JSON: {body.decode(errors='replace')}")
            return
        # `framebus serve` answers 200 to everything, as the old service did.
        if not answer["success"]:
            self._fail(answer["error"])
            return
        self._load.answered(took_ms, is_first=self._is_first)
        self._is_first = False
        self._send()

    def _fail(self, why: str) -> None:
        self._load.failed(why)
        self._transport.close()

    def eof_received(self) -> None:
        self._load.failed("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._load.failed(f"the connection broke off: {exc}")
        self._load.closed()

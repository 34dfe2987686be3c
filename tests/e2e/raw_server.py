"""A server as its enemies see it: bytes as they are, and what they do to its memory."""

import http.client
import re
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.e2e.rest_processes import RestProcess

_TIMEOUT_S = 60.0


class Answer(NamedTuple):
    """A status, and the body beside it."""

    status: int
    body: bytes


class RawServer:
    """A server that anybody can send anything to."""

    def __init__(self, process: RestProcess) -> None:
        self.process = process
        self._proc = Path(f"/proc/{process.process.pid}")
        self._host, self._port = urlsplit(process.url).hostname or "", urlsplit(process.url).port or 0

    def send(self, request: str, headers: Iterable[str] = (), body: Iterable[bytes] = ()) -> Answer:
        """Sends bytes as they are, the body until the server answers or hangs up.

        Args:
            request: Method and path.
            headers: Header lines.
            body: The body in parts, framed as the headers say.
        """
        with self._connection(request, headers) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                for part in body:
                    if select.select([connection], [], [], 0)[0]:
                        break
                    connection.sendall(part)
            response = http.client.HTTPResponse(connection, method=request.split()[0])
            response.begin()
            return Answer(response.status, response.read())

    def hang_up(self, request: str, headers: Iterable[str], body: bytes) -> None:
        """Sends a part of a request, and goes away."""
        with self._connection(request, headers) as connection:
            connection.sendall(body)

    @contextmanager
    def _connection(self, request: str, headers: Iterable[str]) -> Iterator[socket.socket]:
        head = "\r\n".join((f"{request} HTTP/1.1", f"Host: {self._host}", *headers, "", ""))
        with socket.create_connection((self._host, self._port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(head.encode("latin-1"))
            yield connection

    def begin_to_watch_memory(self) -> int:
        """Its resident memory now, in bytes."""
        # The most from now on: https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
        (self._proc / "clear_refs").write_text("5")
        return self._memory_bytes("VmRSS")

    def most_memory_bytes(self) -> int:
        """The most resident memory that it had since."""
        return self._memory_bytes("VmHWM")

    def _memory_bytes(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self._proc / "status").read_text())
        assert found
        return int(found[1]) * 1024

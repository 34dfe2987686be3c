"""A TCP connection to a broker that is far away, or becomes so."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

Read = Callable[[asyncio.StreamReader], Awaitable[bytes]]
"""Takes the next bytes off a connection; none at its end."""

_CHUNK_BYTES = 64 * 1024
_TIMEOUT_S = 10.0


class SlowLink:
    """Listens on one port of loopback and hands every byte on to another, late; a context.

    Args:
        port: Where it listens.
        target_port: Where the broker does.

    Attributes:
        delay_s: How late each packet arrives that is sent from now on, each way, in seconds; it does not
            narrow the link.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.delay_s = 0.0
        self._port, self._target_port = port, target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-link")
        self._open: list[asyncio.StreamWriter] = []

    def __enter__(self) -> Self:
        self._thread.start()
        listen = asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._server = asyncio.run_coroutine_threadsafe(listen, self._loop).result(_TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connected(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        try:
            broker_in, broker_out = await asyncio.open_connection("127.0.0.1", self._target_port)
        except ConnectionError:
            client_out.close()
            return
        self._open += [client_out, broker_out]
        read_requests, read_answers = self._readers()
        await asyncio.gather(
            self._forward(client_in, broker_out, read_requests),
            self._forward(broker_in, client_out, read_answers),
        )

    def _readers(self) -> tuple[Read, Read]:
        """How the requests of one connection are read, and how the answers."""
        return _read_any, _read_any

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, read: Read) -> None:
        """Hands on what comes until its source has closed, and closes the other side then."""
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def leave() -> None:
            chunk = b"any"
            while chunk:
                try:
                    chunk = await read(source)
                except ConnectionError:
                    chunk = b""
                on_the_way.put_nowait((self._loop.time() + self.delay_s, chunk))

        async def arrive() -> None:
            while True:
                at_s, chunk = await on_the_way.get()
                await asyncio.sleep(at_s - self._loop.time())
                if not chunk:
                    target.close()
                    return
                target.write(chunk)

        await asyncio.gather(leave(), arrive())

    async def _end(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks)


async def _read_any(source: asyncio.StreamReader) -> bytes:
    return await source.read(_CHUNK_BYTES)

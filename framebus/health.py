"""A program's own HTTP port: `/healthz` (alive), `/readyz` (doing its work) and `/metrics` (Prometheus)."""

import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from framebus.errors import SettingsError
from framebus.logs import get_logger

Check = Callable[[], str | None]
"""Returns None if all is well, else what is not, in words."""

log = get_logger("http")


def health_app(
    registry: CollectorRegistry, *, alive: Check, ready: Check, routes: Sequence[BaseRoute] = ()
) -> Starlette:
    """The three routes every program has, and the program's own behind them."""

    def status(check: Check) -> Response:
        trouble = check()
        if trouble is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable", "reason": trouble}, status_code=503)

    def healthz(_: Request) -> Response:
        return status(alive)

    def readyz(_: Request) -> Response:
        return status(ready)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            *routes,
        ]
    )


def listen(host: str, port: int, *, port_setting: str) -> socket.socket:
    """Opens a port for HTTP.

    Args:
        host: The address to listen on.
        port: The port; 0: any free one.
        port_setting: The variable that sets the port, for the error message.

    Raises:
        SettingsError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port} ({error.strerror}); is another program there? "
            f"Set another {port_setting}, or 0 for any free one"
        ) from error
    # Connections inherit it. Without it a body waits 40 ms behind its headers: asyncio sets it only for
    # sockets that were made with their protocol's number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class HttpServer:
    """Serves an app on a thread of its own, beside the program's main job.

    Args:
        app: What is served.
        host: The address to listen on.
        port: The port; 0: any free one.
        port_setting: The variable that sets the port, for the error message.
    """

    def __init__(self, app: Starlette, host: str, port: int, *, port_setting: str) -> None:
        self._host, self._port, self._port_setting = host, port, port_setting
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listens, and returns the port (a free one if 0 was asked for).

        Raises:
            SettingsError: The address cannot be listened on.
        """
        listener = listen(self._host, self._port, port_setting=self._port_setting)
        port = int(listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="http", daemon=True)
        self._thread.start()
        log.info("http port open", host=self._host, port=port)
        return port

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            self._server.run(sockets=[listener])

    def stop(self) -> None:
        """Closes the port."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=5)

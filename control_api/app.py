"""The control API program: the REST API on its port, until told to stop."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from control_api.body_limit import BodyLimitMiddleware, body_limit_bytes
from control_api.openapi import describe, operation_id
from control_api.plane import ControlPlane, build_plane
from control_api.problems import answer_problems
from control_api.requests import RequestMiddleware, is_quiet
from control_api.routes import docs, health, legacy, live, models, predict, sessions, workers
from control_api.routes.dashboard import add_dashboard
from control_api.worker_clients import HttpWorkerClient, WorkerClient
from framebus.bus import Bus
from framebus.health import listen
from framebus.logs import get_logger
from framebus.model_repository import ModelRepository
from framebus.settings import Settings
from framebus.tracing import Tracing, start_tracing
from framebus.tracing.requests import TracedRequests

_WATCH_INTERVAL_S = 0.2
# After the longest prediction: the answer has to be sent, too.
_STOP_TIMEOUT_S = 5
# Longer than load balancers keep an idle connection, so that none is used that is being closed here.
_KEEP_ALIVE_S = 75

log = get_logger("api")


def create_app(
    settings: Settings, bus: Bus, client: WorkerClient | None = None, *, has_streams: bool = True
) -> FastAPI:
    """Makes the app; its lifespan reads the bus, and its `state.plane` is what it works with.

    Args:
        settings: All settings.
        bus: Where commands and beats are.
        client: Asks workers; None: over HTTP.
        has_streams: Whether cameras can be on this bus.

    Raises:
        SettingsError: The tokens make no sense.
    """
    workers_client = client or HttpWorkerClient(settings.control)
    plane = build_plane(settings, bus, workers_client, has_streams=has_streams)
    tracing = start_tracing(settings.tracing, "api")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for follower in plane.followers:
            follower.start()
        yield
        for follower in plane.followers:
            follower.stop()
        for follower in plane.followers:
            follower.join()
        plane.live.stop()
        await workers_client.close()
        if tracing is not None:
            tracing.close()

    app = FastAPI(
        title="framebus",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        middleware=[
            *_traced(tracing),
            Middleware(RequestMiddleware, metrics=plane.metrics),
            *_cors(settings.api.cors_origins),
            Middleware(BodyLimitMiddleware, limit_bytes=lambda path: body_limit_bytes(path, settings.api)),
        ],
    )
    app.state.plane = plane
    answer_problems(app, legacy_status=settings.api.legacy_status is True)
    for part in (legacy, models, predict, workers, live, sessions, health, docs):
        app.include_router(part.router)
    add_dashboard(app)
    describe(app, plane.access)
    return app


def _traced(tracing: Tracing | None) -> list[Middleware]:
    return [] if tracing is None else [Middleware(TracedRequests, tracing=tracing, is_quiet=is_quiet)]


def _cors(origins: list[str]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PATCH"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID", "traceparent"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    ]


class ControlApi:
    """One replica of the control API.

    Args:
        settings: All settings.
        bus: Where commands and beats are.
        client: Asks workers; None: over HTTP.
        has_streams: Whether cameras can be on this bus.

    Raises:
        SettingsError: The tokens make no sense.
    """

    def __init__(
        self, settings: Settings, bus: Bus, client: WorkerClient | None = None, *, has_streams: bool = True
    ) -> None:
        self._settings = settings.api
        self._models_dir = settings.models_dir
        self._app = create_app(settings, bus, client, has_streams=has_streams)
        self.plane: ControlPlane = self._app.state.plane
        self.port: int | None = None
        """Where it listens, once it does."""

    def run(self, stop: threading.Event) -> None:
        """Serves until `stop` is set, then finishes the requests that are being answered.

        Raises:
            ModelError: There is no models directory.
            SettingsError: The address cannot be listened on.
            TransportError: The bus refuses for good.
        """
        ModelRepository(self._models_dir).names()
        self._warn()
        host, port = self._settings.host, self._settings.port
        with listen(host, port, port_setting="FRAMEBUS_API__PORT") as listener:
            server = self._server()
            thread = threading.Thread(target=server.run, args=([listener],), name="rest", daemon=True)
            thread.start()
            self.port = int(listener.getsockname()[1])
            log.info("REST API open", host=host, port=self.port)
            while thread.is_alive() and self.plane.failure is None and not stop.wait(_WATCH_INTERVAL_S):
                pass
            server.should_exit = True
            thread.join()
        if self.plane.failure is not None:
            raise self.plane.failure
        log.info("stopped")

    def _server(self) -> uvicorn.Server:
        return uvicorn.Server(
            uvicorn.Config(
                self._app,
                log_config=None,
                access_log=False,
                lifespan="on",
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=round(self._settings.predict_timeout_s) + _STOP_TIMEOUT_S,
            )
        )

    def _warn(self) -> None:
        if self._settings.admin_token is None and self._settings.host not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            log.warning(
                "everybody who reaches this port may load and unload models; set FRAMEBUS_API__ADMIN_TOKEN",
                host=self._settings.host,
            )

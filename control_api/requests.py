"""What happens around every request: its ids, its log line, its metrics, and a clean answer to a bug."""

import time

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.metrics import ApiMetrics
from control_api.problems import PROBLEM_SCOPE_KEY, failure
from control_api.request_ids import RequestIds
from framebus.logs import get_logger

# Asked for every few seconds, by machines or by the dashboard; of interest if something is wrong.
_QUIET = ("/healthz", "/readyz", "/metrics", "/live", "/workers", "/cameras", "/models", "/session")
_QUIET_FILES = "/dashboard/"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = get_logger("api")


class RequestMiddleware:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app, self._metrics = app, metrics
        self._endpoints: Endpoints | None = None  # known once the app has all its routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._endpoints is None:
            self._endpoints = Endpoints(scope["app"])
        endpoint = self._endpoints.of(scope["path"])
        ids = RequestIds.of(Headers(scope=scope))
        ids.enter()
        started_s = time.monotonic()
        status = 500
        has_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, has_started
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                MutableHeaders(scope=message)["X-Request-ID"] = ids.request_id
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=ids.request_id, trace_id=ids.trace_id),
            self._metrics.in_flight.labels(endpoint).track_inprogress(),
        ):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if not has_started:
                    answer = JSONResponse(failure("unexpected server error; its log says why"), 500)
                    await answer(scope, receive, send_with_id)
            finally:
                self._note(scope, endpoint, status, time.monotonic() - started_s)

    def _note(self, scope: Scope, endpoint: str, status: int, took_s: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(endpoint, method, status).inc()
        self._metrics.latency.labels(endpoint, method).observe(took_s)
        problem = scope.get(PROBLEM_SCOPE_KEY)
        write = log.debug if problem is None and is_quiet(scope["path"]) else log.info
        write(
            "request",
            method=method,
            path=scope["path"],
            status=status,
            took_ms=round(took_s * 1000, 1),
            **({} if problem is None else {"error": problem}),
        )


def is_quiet(path: str) -> bool:
    """Whether requests to a path are hardly worth a line, or a span, as long as they are answered well."""
    return path in _QUIET or path.startswith(_QUIET_FILES)


class Endpoints:
    """Tells by which template, such as `/models/{model}/predict`, an app knows a path."""

    def __init__(self, app: FastAPI) -> None:
        self._templates = [(compile_path(path)[0], path) for path in app.openapi()["paths"]]

    def of(self, path: str) -> str:
        """The template; `other` for a path that the app does not describe."""
        return next((template for pattern, template in self._templates if pattern.match(path)), "other")

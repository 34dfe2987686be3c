"""What happens around every request: its ids, its log line, its metrics, and a clean answer to a bug."""

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.metrics import ApiMetrics
from control_api.problems import PROBLEM_SCOPE_KEY, failure
from control_api.request_ids import RequestIds
from framebus.logs import get_logger

# Asked for every few seconds by machines.
QUIET = ("/healthz", "/readyz", "/metrics")
"""Paths of which no request is worth a line."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = get_logger("api")


class RequestMiddleware:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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
            self._metrics.in_flight.track_inprogress(),
        ):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if not has_started:
                    answer = JSONResponse(failure("unexpected server error; its log says why"), 500)
                    await answer(scope, receive, send_with_id)
            finally:
                self._note(scope, status, time.monotonic() - started_s)

    def _note(self, scope: Scope, status: int, took_s: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        endpoint = _endpoint(scope)
        self._metrics.requests.labels(endpoint, method, status).inc()
        self._metrics.latency.labels(endpoint, method).observe(took_s)
        write = log.debug if scope["path"] in QUIET else log.info
        problem = scope.get(PROBLEM_SCOPE_KEY)
        write(
            "request",
            method=method,
            path=scope["path"],
            status=status,
            took_ms=round(took_s * 1000, 1),
            **({} if problem is None else {"error": problem}),
        )


def _endpoint(scope: Scope) -> str:
    """The template of the path, such as `/models/{model}/predict`."""
    route = scope.get("route")
    return getattr(route, "path", "other")

"""HTTP requests with a span each, which whoever is asked next goes on from."""

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framebus.frames import TraceContext
from framebus.tracing import Tracing, current_span

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class TracedRequests:
    """A layer of an app. What is inside finds the span in the request's `traceparent`, and in `current_span`.

    Args:
        app: What is inside.
        tracing: Makes the spans.
        is_quiet: Tells of a path whether it is asked for every few seconds, and not traced.
    """

    def __init__(
        self, app: ASGIApp, tracing: Tracing, *, is_quiet: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._app, self._tracing, self._is_quiet = app, tracing, is_quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or self._is_quiet(scope["path"]):
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else None
        span = self._tracing.start(
            method or "HTTP",
            "server",
            parent=_parent(Headers(scope=scope)),
            attributes={
                "http.request.method": method or "_OTHER",
                "url.path": scope["path"],
                "url.scheme": scope["scheme"],
            },
        )
        scope = {**scope, "headers": list(scope["headers"])}
        if (trace := span.trace) is not None:
            MutableHeaders(scope=scope)["traceparent"] = trace.traceparent
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = current_span.set(span)
        try:
            await self._app(scope, receive, send_noting)
        finally:
            current_span.reset(token)
            route = getattr(scope.get("route"), "path", None)  # the template of the path
            span.end(
                {"http.response.status_code": status, **({} if route is None else {"http.route": route})},
                name=None if route is None else f"{method or 'HTTP'} {route}",
                error_type=str(status) if status >= 500 else None,
            )


def _parent(headers: Headers) -> TraceContext | None:
    traceparent = headers.get("traceparent")
    return None if traceparent is None else TraceContext(traceparent, headers.get("tracestate"))

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router

from framebus.tracing import current_span
from framebus.tracing.requests import TracedRequests
from tests.spans import PARENT, PARENT_ID, TRACE_ID, KeptSpans, recording

IN_TRACE = {"traceparent": PARENT.traceparent, "tracestate": "vendor=1"}


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


async def echo(request: Request) -> Response:
    """Says in which trace it answers."""
    trace = current_span.get().trace
    return JSONResponse({"header": request.headers.get("traceparent"), "trace": trace and trace.traceparent})


async def fail(request: Request) -> Response:
    raise RuntimeError("a bug")


async def refuse(request: Request) -> Response:
    return PlainTextResponse("no", int(request.path_params["status"]))


ROUTES = Router(
    [
        Route("/echo", echo),
        Route("/healthz", echo),
        Route("/fail", fail),
        Route("/status/{status:int}", refuse),
    ]
)

Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(kept: KeptSpans) -> Ask:
    """Sends a request to a traced app; its span has been exported when the answer is there."""

    def ask(path: str, *, app: Any = ROUTES, method: str = "GET", **headers: str) -> httpx.Response:
        async def send(traced: TracedRequests) -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(traced), base_url="http://api"
            ) as client:
                return await client.request(method, path, headers=headers)

        with recording(kept) as tracing:
            return asyncio.run(send(TracedRequests(app, tracing, is_quiet="/healthz".__eq__)))

    return ask


def test_a_request_goes_on_in_the_clients_trace(ask: Ask, kept: KeptSpans) -> None:
    answer = ask("/echo", **IN_TRACE).json()

    [span] = kept.all()
    assert (span.trace_id, span.parent_id, span.kind) == (TRACE_ID, PARENT_ID, "server")
    assert answer == {"header": span.traceparent.decode(), "trace": span.traceparent.decode()}
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/echo",
        "url.path": "/echo",
        "url.scheme": "http",
    }
    assert current_span.get().trace is None


def test_a_request_of_no_trace_begins_one(ask: Ask, kept: KeptSpans) -> None:
    answer = ask("/echo", traceparent="nonsense").json()

    [span] = kept.all()
    assert span.parent_id is None
    assert answer["header"] == span.traceparent.decode()


def test_requests_are_named_after_their_route(ask: Ask, kept: KeptSpans) -> None:
    app = FastAPI()
    app.get("/models/{model}/labels")(lambda model: model)

    assert ask("/models/people/labels", app=app).status_code == 200
    assert ask("/status/200").status_code == 200
    assert ask("/nothing/there").status_code == 404

    labels, status, nothing = kept.all()
    assert labels.name == "GET /models/{model}/labels"
    assert labels.attributes["http.route"] == "/models/{model}/labels"
    assert labels.attributes["url.path"] == "/models/people/labels"
    assert status.name == "GET /status/{status:int}"
    assert (nothing.name, nothing.attributes.get("http.route")) == ("GET", None)


def test_what_machines_ask_all_the_time_is_not_traced(ask: Ask, kept: KeptSpans) -> None:
    answer = ask("/healthz", **IN_TRACE).json()

    assert answer == {"header": PARENT.traceparent, "trace": None}
    assert kept.all() == []


@pytest.mark.parametrize(("status", "error"), [(404, None), (429, None), (503, ("503", ""))])
def test_only_what_is_the_servers_fault_is_an_error(
    ask: Ask, kept: KeptSpans, status: int, error: tuple[str, str] | None
) -> None:
    ask(f"/status/{status}")

    [span] = kept.all()
    assert span.attributes["http.response.status_code"] == status
    assert span.error == error


def test_a_bug_is_an_error(ask: Ask, kept: KeptSpans) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        ask("/fail")

    [span] = kept.all()
    assert span.error == ("500", "")


def test_methods_that_clients_make_up_name_no_spans(ask: Ask, kept: KeptSpans) -> None:
    ask("/nothing/there", method="BREW")

    assert kept.one("HTTP").attributes["http.request.method"] == "_OTHER"

"""A collector of spans on loopback, which takes OTLP over HTTP."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span as it came by OTLP; ids are hexadecimal, and `parent_id` is empty at the start of a trace."""

    service: str
    name: str
    kind: str
    trace_id: str
    id: str
    parent_id: str
    attributes: dict[str, str | int]
    started_ns: int
    ended_ns: int


class Collector:
    """What has come so far.

    Attributes:
        environment: What a program needs to send its spans here.
    """

    def __init__(self, port: int) -> None:
        self.environment = {
            "FRAMEBUS_TRACING__ENABLED": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        self._lock = threading.Lock()
        self._spans: list[CollectedSpan] = []

    def take(self, body: bytes) -> None:
        """Takes a request of an exporter."""
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            _collected(str(_values(resource.resource.attributes)["service.name"]), span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += spans

    def spans(self) -> list[CollectedSpan]:
        """All that has come."""
        with self._lock:
            return list(self._spans)

    def until(self, are_there: Callable[[list[CollectedSpan]], bool]) -> list[CollectedSpan]:
        """Waits until the spans that have come are such."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while not are_there(spans := self.spans()):
            assert time.monotonic() < deadline_s, sorted((span.service, span.name) for span in spans)
            time.sleep(0.05)
        return spans


@contextmanager
def collector() -> Iterator[Collector]:
    """Collects until the end of the context."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            collected.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collected = Collector(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collected
        finally:
            server.shutdown()
            thread.join()


def _collected(service: str, span: OtlpSpan) -> CollectedSpan:
    return CollectedSpan(
        service=service,
        name=span.name,
        kind=OtlpSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_values(span.attributes),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


def _values(attributes: Sequence[KeyValue]) -> dict[str, str | int]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}

"""Spans that stay in memory, as a test sees them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from framebus.frames import TraceContext
from framebus.tracing.open_telemetry import OpenTelemetry

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
PARENT = TraceContext(f"00-{TRACE_ID}-{PARENT_ID}-01", "vendor=1")


class Seen:
    """A span that was exported.

    Attributes:
        span: The SDK's own.
        parent_id: None at the start of a trace.
        error: `error.type` and the message; None if nothing went wrong.
    """

    def __init__(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        assert context is not None
        self.span = span
        self.name = span.name
        self.kind = span.kind.name.lower()
        self.trace_id, self.id = format_trace_id(context.trace_id), format_span_id(context.span_id)
        # What a record carries that belongs to it.
        self.traceparent = f"00-{self.trace_id}-{self.id}-{context.trace_flags:02x}".encode()
        self.parent_id = None if span.parent is None else format_span_id(span.parent.span_id)
        self.attributes = dict(span.attributes or {})
        self.error: tuple[object, str | None] | None = None
        if span.status.status_code is StatusCode.ERROR:
            self.error = (self.attributes["error.type"], span.status.description)

    @property
    def times_ns(self) -> tuple[int, int]:
        """Its start and its end."""
        assert self.span.start_time is not None
        assert self.span.end_time is not None
        return self.span.start_time, self.span.end_time


class KeptSpans(SpanExporter):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Keeps what it has."""

    def all(self) -> list[Seen]:
        """What was exported, in the order in which it ended."""
        return [Seen(span) for span in self._spans]

    def named(self, name: str) -> list[Seen]:
        """Those of one name."""
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> Seen:
        """The only one of its name."""
        [span] = self.named(name)
        return span


@contextmanager
def recording(kept: KeptSpans) -> Iterator[OpenTelemetry]:
    """Tracing as it is, but for where spans go; all of them are there at its end."""
    tracing = OpenTelemetry("test", kept)
    try:
        yield tracing
    finally:
        tracing.close()

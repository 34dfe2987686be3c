"""Spans made and exported by the OpenTelemetry SDK."""

import logging
import os
import threading
import time
import uuid
from importlib import metadata

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from framebus.errors import FrameError, SettingsError
from framebus.frames import TraceContext
from framebus.logs import get_logger
from framebus.tracing import Attributes, Kind, Span

_KINDS = {"producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER, "server": SpanKind.SERVER}
# The wire format is W3C's, whatever OTEL_PROPAGATORS says.
_W3C = TraceContextTextMapPropagator()
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
# A collector that is away must not hold up the end of a program, and the SDK would wait for half a minute.
_CLOSE_TIMEOUT_S = 5.0

log = get_logger("tracing")


class OpenTelemetry:
    """Tracing by OpenTelemetry; see `framebus.tracing.Tracing`.

    Spans are exported in batches by a thread of the SDK's own. What a collector does not take is dropped
    there, and never waited for.

    Args:
        program: Its name, for those who have given it none with OTEL_SERVICE_NAME.
        exporter: Where spans go; None: by OTLP over HTTP.

    Raises:
        SettingsError: A variable of OpenTelemetry has a value that cannot be used.
    """

    def __init__(self, program: str, exporter: SpanExporter | None = None) -> None:
        protocol = next((os.environ[name] for name in _PROTOCOLS if os.environ.get(name)), _PROTOCOL)
        if protocol != _PROTOCOL:
            raise SettingsError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, and spans go by {_PROTOCOL} alone; leave it "
                "out, and name the collector's port for HTTP in OTEL_EXPORTER_OTLP_ENDPOINT (mostly 4318)"
            )
        _speak_in_our_log()
        ours = Resource(
            {
                "service.name": f"framebus-{program}",
                "service.version": metadata.version("framebus"),
                "service.instance.id": str(uuid.uuid4()),
            }
        )
        try:
            self._provider = TracerProvider(
                resource=Resource.create(ours.merge(OTELResourceDetector().detect()).attributes),
                shutdown_on_exit=False,
            )
            self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        except ValueError as error:
            raise SettingsError(f"OpenTelemetry refuses one of its variables OTEL_...: {error}") from error
        self._tracer = self._provider.get_tracer("framebus", metadata.version("framebus"))

    def start(
        self,
        name: str,
        kind: Kind,
        *,
        parent: TraceContext | None,
        attributes: Attributes,
        started_s: float | None = None,
    ) -> Span:
        """See `Tracing`."""
        # Taken once, so that no step of the clock tears a span and its parts apart.
        epoch_ns = time.time_ns() - time.monotonic_ns()
        span = self._tracer.start_span(
            name,
            _extracted(parent),
            _KINDS[kind],
            attributes,
            start_time=None if started_s is None else epoch_ns + round(started_s * 1e9),
        )
        return _SdkSpan(self._tracer, span, epoch_ns)

    def close(self) -> None:
        """See `Tracing`."""
        closing = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)
        if closing.is_alive():
            log.warning("spans that the collector has not taken are given up")


class _SdkSpan:
    """See `Span`."""

    __slots__ = ("_epoch_ns", "_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, span: trace.Span, epoch_ns: int) -> None:
        self._tracer, self._span, self._epoch_ns = tracer, span, epoch_ns

    @property
    def trace(self) -> TraceContext | None:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, trace.set_span_in_context(self._span, Context()))
        traceparent = carrier.get("traceparent")
        return TraceContext(traceparent, carrier.get("tracestate")) if traceparent else None

    def child(
        self,
        name: str,
        started_s: float,
        ended_s: float,
        attributes: Attributes,
        *,
        error: Exception | None = None,
    ) -> None:
        if not self._span.is_recording():
            return
        context = trace.set_span_in_context(self._span, Context())
        child = self._tracer.start_span(
            name, context, attributes=attributes, start_time=self._time_ns(started_s)
        )
        if error is not None:
            reason = error.reason if isinstance(error, FrameError) else type(error).__name__
            _fail(child, reason, str(error))
        child.end(self._time_ns(ended_s))

    def end(
        self,
        attributes: Attributes | None = None,
        *,
        name: str | None = None,
        error_type: str | None = None,
        message: str = "",
    ) -> None:
        if not self._span.is_recording():
            return
        if attributes is not None:
            self._span.set_attributes(attributes)
        if name is not None:
            self._span.update_name(name)
        if error_type is not None:
            _fail(self._span, error_type, message)
        self._span.end(self._time_ns(time.monotonic()))

    def _time_ns(self, monotonic_s: float) -> int:
        return self._epoch_ns + round(monotonic_s * 1e9)


def _extracted(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    carrier = {"traceparent": parent.traceparent, "tracestate": parent.tracestate or ""}
    return _W3C.extract(carrier, Context())


def _fail(span: trace.Span, error_type: str, message: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, message))


class _ToLog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.warning("OpenTelemetry", said=record.getMessage())


_to_log = _ToLog(logging.WARNING)


def _speak_in_our_log() -> None:
    """Has what OpenTelemetry says of itself in the program's log, in its form."""
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(_to_log)
    logger.propagate = False

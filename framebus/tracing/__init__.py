"""Traces: where the time of a frame or a request went, through all programs, as spans of OpenTelemetry.

What traces is put around or into the programs where they are composed, and only if tracing is on: without it,
nothing of it runs, and OpenTelemetry is not imported. `docs/tracing.md` is the page for operators.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal, Protocol

from framebus.errors import SettingsError
from framebus.frames import TraceContext
from framebus.settings import TracingSettings

Attributes = Mapping[str, str | int | float]
Kind = Literal["producer", "consumer", "server"]


class Span(Protocol):
    """A stretch of time that has begun. All times are monotonic seconds."""

    @property
    def trace(self) -> TraceContext | None:
        """What a message carries, so that whoever gets it goes on from here; None if nothing can."""
        ...

    def child(
        self,
        name: str,
        started_s: float,
        ended_s: float,
        attributes: Attributes,
        *,
        error: Exception | None = None,
    ) -> None:
        """Tells of a part of it that is over; an error if that part is what went wrong."""
        ...

    def end(
        self,
        attributes: Attributes | None = None,
        *,
        name: str | None = None,
        error_type: str | None = None,
        message: str = "",
    ) -> None:
        """Ends it; it is exported only if that happens.

        Args:
            attributes: What has become known since it began.
            name: What it is called now that more is known.
            error_type: A word for what went wrong; None if nothing did.
            message: The same in full.
        """
        ...


class Tracing(Protocol):
    """Makes spans."""

    def start(
        self,
        name: str,
        kind: Kind,
        *,
        parent: TraceContext | None,
        attributes: Attributes,
        started_s: float | None = None,
    ) -> Span:
        """Begins a span.

        Args:
            name: As the semantic conventions have it.
            kind: Its place in a conversation.
            parent: What the message that caused it carries; without one, or a damaged one, a trace begins.
            attributes: What is known of it; a sampler may look at them.
            started_s: When it began; None: now.
        """
        ...

    def close(self) -> None:
        """Exports what has ended; gives up after some seconds."""
        ...


class NoSpan:
    """Where nothing is traced; see `Span`."""

    trace = None

    def child(self, *_: object, **__: object) -> None:
        """Says nothing."""

    def end(self, *_: object, **__: object) -> None:
        """Says nothing."""


current_span: ContextVar[Span] = ContextVar("current_span", default=NoSpan())  # noqa: B039 - it has no state
"""The span of the request that is being answered."""


def start_tracing(settings: TracingSettings, program: str) -> Tracing | None:
    """Sets tracing up for a program, as the variables `OTEL_...` say; None if it is off.

    Args:
        settings: Whether it is on.
        program: Its name, for those who have given it none with OTEL_SERVICE_NAME.

    Raises:
        SettingsError: OpenTelemetry is not installed, or refuses one of its variables.
    """
    if not settings.enabled:
        return None
    try:
        from framebus.tracing.open_telemetry import OpenTelemetry
    except ImportError as error:
        raise SettingsError(
            f"FRAMEBUS_TRACING__ENABLED needs OpenTelemetry ({error}); run pip install 'framebus[tracing]'"
        ) from error
    return OpenTelemetry(program)

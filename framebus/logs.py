"""Structured logs on standard error: key=value for people, one JSON object a line of programs that run on."""

import logging
import sys
from typing import TYPE_CHECKING

# structlog is imported in the functions: a command that completes its own options for a shell needs no log.
if TYPE_CHECKING:
    import structlog

    from framebus.settings import LogSettings


def configure_logs(settings: "LogSettings", *, ends_by_itself: bool = False) -> None:
    """Sets up structlog for the process; called once, where a program starts.

    Args:
        settings: The level, and the format.
        ends_by_itself: A command that somebody waits for. Unless its format is set, it speaks to people also
            where standard error is no terminal; what runs on writes JSON there, for whatever collects logs.
    """
    import structlog

    is_for_people = ends_by_itself or sys.stderr.isatty()
    to_terminal = settings.format == "console" or (settings.format == "auto" and is_for_people)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if to_terminal
        else structlog.processors.JSONRenderer()
    )
    # Without local variables: they hold pictures, and the passwords of Kafka clients.
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if to_terminal else [tracebacks]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        # It writes a line and its end at once: several workers may share standard error.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def log_is_json() -> bool:
    """Whether the process's log is one of JSON lines."""
    import structlog

    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


def get_logger(program: str) -> "structlog.typing.FilteringBoundLogger":
    """Returns a logger whose lines name the program they come from."""
    import structlog

    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(program=program)
    return logger

"""Moments, as users write them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_since(text: str) -> datetime:
    """Reads `90s`, `10m`, `2h` or `3d` ago, or an RFC 3339 time.

    Raises:
        BadParameter: It is neither.
    """
    try:
        if ago := _DURATION.fullmatch(text):
            return datetime.now(UTC) - _as_duration(ago)
        moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows `t` and `z`
        if moment.tzinfo is None:
            raise ValueError("it has no time zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time ({error}); write 90s, 10m, 2h, 3d or 2026-01-31T12:00:00Z"
        ) from error


def parse_duration(text: str) -> timedelta:
    """Reads `90s`, `10m`, `2h` or `3d`.

    Raises:
        BadParameter: It is none.
    """
    if duration := _DURATION.fullmatch(text):
        return _as_duration(duration)
    raise typer.BadParameter(f"{text!r} is no duration; write 90s, 10m, 2h or 3d")


def _as_duration(match: re.Match[str]) -> timedelta:
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def as_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, as records are stamped."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def as_text(timestamp_ms: int) -> str:
    """The same as RFC 3339; as the number, where no calendar knows it: anybody may have stamped a record."""
    from framebus.wire import format_time

    try:
        return format_time(_EPOCH + timedelta(milliseconds=timestamp_ms))
    except OverflowError:
        return str(timestamp_ms)

"""`framebus dead show`: all that is known of one dead letter."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from framebus import images
from framebus.cli.dead.listing import report_of
from framebus.cli.printable import printable
from framebus.dead_letters import DeadLetter
from framebus.errors import DeadLetterError, UndecodableFrameError
from framebus.wire import format_time

_NAME_WIDTH = len("published")
# Anybody can publish a camera id, or a header, of megabytes.
_MAX_CHARACTERS = 4_000


def describe(letter: DeadLetter, missing: DeadLetterError | None = None) -> Iterator[str]:
    """Tells of a dead letter, line by line.

    Args:
        letter: The dead letter, whole if it can be.
        missing: Why it is not whole.
    """
    place, source = letter.place, letter.source
    facts = {
        "place": f"{place.partition}/{place.offset} of {place.topic}",
        "time": _time(letter.died_at),
        "model": letter.model,
        "reason": letter.reason,
        "message": letter.message,
        "camera": letter.camera_id,
        "frame": letter.frame_id,
        "source": f"{source.topic}/{source.partition}/{source.offset}",
        "published": _time(letter.published_at),
        "key": _text(letter.key),
        "picture": f"cannot be had: {missing}" if missing else _picture(letter.value),
    }
    headers = [("header", f"{name}: {_text(value)}") for name, value in letter.headers]
    for name, text in (*facts.items(), *headers):
        yield f"{name:{_NAME_WIDTH}} {printable(text[:_MAX_CHARACTERS])}"


def as_json(letter: DeadLetter, missing: DeadLetterError | None = None) -> dict[str, Any]:
    """The same for scripts; docs/dead-letters.md describes it."""
    try:
        width, height = images.size(letter.value)
        picture = {"content_type": images.content_type(letter.value), "width": width, "height": height}
    except UndecodableFrameError:
        picture = None
    return {
        **report_of(letter),
        "key": None if letter.key is None else _text(letter.key),
        "headers": [[name, None if value is None else _text(value)] for name, value in letter.headers],
        "picture": picture,
        "missing": None if missing is None else str(missing),
    }


def _picture(data: bytes) -> str:
    try:
        width, height = images.size(data)
        what = f"{images.content_type(data)}, {width}x{height} pixels"
    except UndecodableFrameError as error:
        what = str(error)
    return f"{len(data):,} bytes, {what}"


def _text(value: bytes | None) -> str:
    return "-" if value is None else value.decode(errors="backslashreplace")


def _time(moment: datetime | None) -> str:
    return "-" if moment is None else format_time(moment)

"""Frames that could not be processed, as records of the dead-letter topic: as they were read, and why.

A dead letter is written by `encode_dead_letter`, read by `decode_dead_letter`, and becomes a frame again with
`encode_replay`. `docs/dead-letters.md` is the page for those who look after them.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from framebus.bus import Headers, OutgoingRecord, Record
from framebus.errors import DeadLetterError, FrameError
from framebus.frames import FramePosition
from framebus.settings import TOPIC_NAME
from framebus.wire import format_time

# What is kept of an error's text, which may quote its input.
_MAX_ERROR_TEXT = 1_000
# Upper bounds of what Kafka adds to a record alone in its batch, and to each of its headers.
_RECORD_OVERHEAD_BYTES = 128
_HEADER_OVERHEAD_BYTES = 10
# Headers that do not belong to the frame, and the one that begins them.
_PREFIX = "fb_"
_FIRST = "fb_error"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MODEL = re.compile(r"[A-Za-z0-9._-]{1,100}")
_REASON = re.compile(r"[a-z0-9_]{1,64}")
_LEFT_OUT = re.compile(r"[a-z, ]{0,64}")
_NUMBER = re.compile(r"[0-9]{1,19}")
_LARGEST_PARTITION = 2**31 - 1
_LARGEST_OFFSET = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame that could not be processed.

    Attributes:
        place: Where the dead letter stands.
        died_at: When it was written; None if its record has no time.
        reason: Why it died, in one word: the `reason` of a `FrameError`.
        message: The same in full.
        model: The model that the frame was meant for.
        source: Where the frame was read.
        published_at: The time of the frame's own record; None if it had none.
        key: The frame's own, as are
        value: its picture and
        headers: its headers, all of them as they were published.
        left_out: What of these is missing because the whole was too large, in words; empty if nothing is.
    """

    place: FramePosition
    died_at: datetime | None
    reason: str
    message: str
    model: str
    source: FramePosition
    published_at: datetime | None
    key: bytes | None
    value: bytes
    headers: Headers
    left_out: str

    @property
    def camera_id(self) -> str:
        """The camera, as detections name it; what is not UTF-8 in it is replaced."""
        source = self.source
        return (self.key or b"").decode(errors="replace") or f"{source.topic}/{source.partition}"

    @property
    def frame_id(self) -> str:
        """The frame, as detections name it; what is not UTF-8 in it is replaced."""
        source = self.source
        frame_id = (dict(self.headers).get("ce_id") or b"").decode(errors="replace")
        return frame_id or f"{source.topic}/{source.partition}/{source.offset}"


def encode_dead_letter(
    record: Record, error: FrameError, *, topic: str, model_name: str, max_bytes: int
) -> OutgoingRecord:
    """A frame that could not be processed: the record as it was read, and why.

    Args:
        record: The frame's record, unchanged.
        error: Why it cannot be processed.
        topic: The dead-letter topic.
        model_name: The model that it was meant for.
        max_bytes: Largest record that the topic takes; a larger one goes without its value, if need be
            without its headers and key too, and says so.
    """
    published_at = _record_time(record)

    def why(left_out: str = "") -> Headers:
        message = str(error)[:_MAX_ERROR_TEXT]
        if left_out:
            message += f" ({left_out} left out: a record of {whole_bytes} bytes is too large)"
        headers = {
            _FIRST: error.reason,
            "fb_message": message,
            "fb_model": model_name,
            "fb_topic": record.partition.topic,
            "fb_partition": str(record.partition.number),
            "fb_offset": str(record.offset),
        }
        if published_at is not None:
            headers["fb_time"] = format_time(published_at)
        if left_out:
            headers["fb_left_out"] = left_out
        return tuple((name, text.encode(errors="replace")) for name, text in headers.items())

    letter = OutgoingRecord(topic, record.key, record.value, (*record.headers, *why()))
    whole_bytes = _record_bytes(letter)
    if whole_bytes > max_bytes:
        letter = replace(letter, value=b"", headers=(*record.headers, *why("value")))
    if _record_bytes(letter) > max_bytes:
        letter = replace(letter, headers=why("value and headers"))
    if _record_bytes(letter) > max_bytes:
        letter = replace(letter, key=None, headers=why("value, headers and key"))
    return letter


def decode_dead_letter(record: Record) -> DeadLetter:
    """Reads a dead letter.

    Raises:
        DeadLetterError: It is none; says which header is missing or wrong. Anybody may have published it.
    """
    # The frame may have had such headers itself; those of its dead letter come after them.
    begin = max((index for index, (name, _) in enumerate(record.headers) if name == _FIRST), default=0)
    headers = dict(record.headers[begin:])

    def text(name: str) -> str:
        return (headers.get(name) or b"").decode(errors="replace")

    def checked(name: str, pattern: re.Pattern[str]) -> str:
        if not pattern.fullmatch(text(name)):
            raise DeadLetterError(f"it is no dead letter: the header {name} is {_quoted(text(name))}")
        return text(name)

    def number(name: str, largest: int) -> int:
        if (found := int(checked(name, _NUMBER))) > largest:
            raise DeadLetterError(f"it is no dead letter: the header {name} is {found}")
        return found

    return DeadLetter(
        place=FramePosition(record.partition.topic, record.partition.number, record.offset),
        died_at=_record_time(record),
        reason=checked(_FIRST, _REASON),
        message=text("fb_message"),
        model=checked("fb_model", _MODEL),
        source=FramePosition(
            checked("fb_topic", TOPIC_NAME),
            number("fb_partition", _LARGEST_PARTITION),
            number("fb_offset", _LARGEST_OFFSET),
        ),
        published_at=_parse_time(text("fb_time")) if text("fb_time") else None,
        key=record.key,
        value=record.value,
        headers=_without_ours(record.headers[:begin]),
        left_out=checked("fb_left_out", _LEFT_OUT),
    )


def restore(letter: DeadLetter, frame: Record) -> DeadLetter:
    """A dead letter with what was left out of it.

    Args:
        letter: The dead letter.
        frame: What stands now where its frame was read.

    Raises:
        DeadLetterError: That is another record: the topic was deleted and made anew.
    """
    if letter.published_at not in (None, _record_time(frame)) or letter.key not in (None, frame.key):
        raise DeadLetterError("another record stands there now, for its topic was made anew")
    return replace(
        letter, key=frame.key, value=frame.value, headers=_without_ours(frame.headers), left_out=""
    )


def encode_replay(letter: DeadLetter) -> OutgoingRecord:
    """The frame once more, for the topic where it was read, and for nobody but the model that failed.

    What the frame lacked, and took from its record, is written down now: camera, frame id and capture time
    stay those of the first time. A `ce_model` of the frame's own is kept.

    Raises:
        DeadLetterError: The frame is not whole.
    """
    if letter.left_out:
        raise DeadLetterError(f"{letter.left_out} left out, for the whole was too large")
    headers = dict(letter.headers)
    wanted = {
        "ce_model": letter.model,
        "ce_id": letter.frame_id,
        "ce_time": "" if letter.published_at is None else format_time(letter.published_at),
    }
    missing = [(name, text.encode()) for name, text in wanted.items() if text and not headers.get(name)]
    return OutgoingRecord(
        letter.source.topic,
        letter.key or letter.camera_id.encode(),
        letter.value,
        (*letter.headers, *missing),
    )


def _record_time(record: Record) -> datetime | None:
    """When a record was published; None if it has no time, or none that a calendar knows."""
    try:
        return _EPOCH + timedelta(milliseconds=record.timestamp_ms) if record.timestamp_ms > 0 else None
    except OverflowError:
        return None


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("it has no time zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DeadLetterError(f"it is no dead letter: the header fb_time is {_quoted(text)}") from error


def _quoted(text: str) -> str:
    return ascii(text[:64]) if text else "missing"


def _without_ours(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if not name.startswith(_PREFIX))


def _record_bytes(record: OutgoingRecord) -> int:
    headers_bytes = sum(
        _HEADER_OVERHEAD_BYTES + len(name.encode()) + len(value or b"") for name, value in record.headers
    )
    return _RECORD_OVERHEAD_BYTES + len(record.key or b"") + len(record.value or b"") + headers_bytes

"""Frames that could not be processed, as records of the dead-letter topic: as they were read, and why."""

from dataclasses import replace

from framebus.bus import Headers, OutgoingRecord, Record
from framebus.errors import FrameError

# What is kept of an error's text, which may quote its input.
_MAX_ERROR_TEXT = 1_000
# Upper bounds of what Kafka adds to a record alone in its batch, and to each of its headers.
_RECORD_OVERHEAD_BYTES = 128
_HEADER_OVERHEAD_BYTES = 10


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

    def why(left_out: str = "") -> Headers:
        message = str(error)[:_MAX_ERROR_TEXT]
        if left_out:
            message += f" ({left_out} left out: a record of {whole_bytes} bytes is too large)"
        return (
            ("fb_error", error.reason.encode()),
            ("fb_message", message.encode(errors="replace")),
            ("fb_model", model_name.encode()),
            ("fb_topic", record.partition.topic.encode()),
            ("fb_partition", str(record.partition.number).encode()),
            ("fb_offset", str(record.offset).encode()),
        )

    letter = OutgoingRecord(topic, record.key, record.value, (*record.headers, *why()))
    whole_bytes = _record_bytes(letter)
    if whole_bytes > max_bytes:
        letter = replace(letter, value=b"", headers=(*record.headers, *why("value")))
    if _record_bytes(letter) > max_bytes:
        letter = replace(letter, headers=why("value and headers"))
    if _record_bytes(letter) > max_bytes:
        letter = replace(letter, key=None, headers=why("value, headers and key"))
    return letter


def _record_bytes(record: OutgoingRecord) -> int:
    headers_bytes = sum(
        _HEADER_OVERHEAD_BYTES + len(name.encode()) + len(value or b"") for name, value in record.headers
    )
    return _RECORD_OVERHEAD_BYTES + len(record.key or b"") + len(record.value or b"") + headers_bytes

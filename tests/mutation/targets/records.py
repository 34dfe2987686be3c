"""The records of the frames topic: `wire.decode_frame`, and what is made of the frames that it accepts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import orjson

from framebus import wire
from framebus.bus import Partition, Record
from framebus.detections import Detections, Thresholds
from framebus.errors import InvalidHeaderError, UndecodableFrameError
from framebus.frames import EncodedFrame, TraceContext
from tests.mutation.changes import change
from tests.mutation.targets import Input

REFUSALS = (InvalidHeaderError, UndecodableFrameError)
MOST_BYTES = 2**28

_NAMES = ("content-type", "ce_id", "ce_time", "ce_model", "ce_sequence", "traceparent", "tracestate")
_FRAMES = (
    EncodedFrame("cam-7", "frame-1", datetime(2026, 1, 31, 12, tzinfo=UTC), b"picture"),
    EncodedFrame(
        "größer/猫",
        "0191e2a4",
        datetime(1, 1, 1, tzinfo=UTC),
        b"\xff\xd8\xff",
        model="ssd",
        sequence="17",
        trace=TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1"),
    ),
)
_VALUES = (
    None,
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\xf4\x90\x80\x80",  # beyond Unicode
    b"\xef\xbb\xbf",
    "\u202e\u0000\n\x1b[2J".encode(),
    b"x" * 1_024,
    b"x" * 1_025,
    b"x" * 100_000,
    "ß".encode() * 512,
)
_TIMES = (
    b"2026-01-31T12:00:00.250Z",
    b"2026-01-31t12:00:00,250999999z",
    b"2026-W05-6T12Z",
    b"20260131T120000+0530",
    b"0001-01-01T00:00:00+23:59:59.999999",
    b"9999-12-31T23:59:59.999999-23:59",
    b"2026-02-29T12:00:00Z",
    b"2016-12-31T23:59:60Z",
    b"2026-01-31T24:00:00Z",
    b"-2026-01-31T12:00:00Z",
    b"1e9",
    "\uff12026-01-31T12:00:00Z".encode(),
    "2026-01-31ß12:00:00Z".encode(),
)
_STAMPS_MS = (
    *(0, -1, 1, 2**31, 2**63 - 1, -(2**63)),
    *(253_402_300_799_999, 253_402_300_800_000, -62_135_596_800_001),  # the calendar's ends
)
_MODEL = wire.ModelInForce("ssd", "0123456789ab", Thresholds(60, 15), {})
_NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), 1, 1)
_TIMING = wire.Timing(0, 0, 0, 0, 1)


def sound(random: Random) -> Record:
    """A record as a camera's producer writes it, somewhere in a topic."""
    written = wire.encode_frame(random.choice(_FRAMES), "frames")
    partition = Partition("frames", random.choice((0, 7, 2**31 - 1)))
    offset = random.choice((0, 123, 2**63 - 1))
    return Record(partition, offset, 1_700_000_000_123, written.key, written.value or b"", written.headers)


def change_record(record: Record, random: Random) -> tuple[str, Record]:
    """Changes a record in any of these ways, once or more."""
    kind = random.choice(tuple(_CHANGES))
    for _ in range(random.randint(1, 3)):
        record = _CHANGES[kind](record, random)
    return kind, record


def make(random: Random) -> Input:
    return Input(*change_record(sound(random), random))


def read(content: Record, folder: Path) -> object:
    wanted = wire.wanted_model(content)
    frame = wire.decode_frame(content)
    assert frame.model == wanted
    assert frame.data == content.value
    assert frame.captured_at.utcoffset() == timedelta(0)
    assert frame.camera_id
    assert frame.frame_id
    message = orjson.loads(wire.encode_detections(frame, _NOTHING, _MODEL, _TIMING).value or b"")
    assert (message["sensorId"], message["id"]) == (frame.camera_id, frame.frame_id)
    return frame


def _key(record: Record, random: Random) -> Record:
    return replace(record, key=_bytes(record.key, random))


def _value(record: Record, random: Random) -> Record:
    return replace(record, value=_bytes(record.value, random) or b"")


def _time(record: Record, random: Random) -> Record:
    text = random.choice(_TIMES)
    if random.randrange(2):
        text = change(text, random)[1]
    return replace(record, headers=(*record.headers, ("ce_time", text)))


def _stamp(record: Record, random: Random) -> Record:
    headers = tuple(header for header in record.headers if header[0] != "ce_time")
    return replace(record, headers=headers, timestamp_ms=random.choice(_STAMPS_MS))


def _header(record: Record, random: Random) -> Record:
    headers = list(record.headers or (("", None),))
    number = random.randrange(len(headers))
    headers[number] = (headers[number][0], _bytes(headers[number][1], random))
    return replace(record, headers=tuple(headers))


def _another_name(record: Record, random: Random) -> Record:
    headers = list(record.headers or (("", None),))
    number = random.randrange(len(headers))
    name = random.choice((*_NAMES, "", "CE_ID", "ce_id ", "\0", "größe", "x" * 10_000))
    headers[number] = (name, headers[number][1])
    return replace(record, headers=tuple(headers))


def _dropped(record: Record, random: Random) -> Record:
    return replace(record, headers=tuple(header for header in record.headers if random.randrange(3)))


def _twice(record: Record, random: Random) -> Record:
    more = tuple((random.choice(_NAMES), _bytes(b"again", random)) for _ in range(random.randint(1, 5)))
    return replace(record, headers=tuple(random.sample((*record.headers, *more), len(record.headers + more))))


def _thousands(record: Record, random: Random) -> Record:
    if random.randrange(10):  # it takes its time
        return _twice(record, random)
    many = ((random.choice(("", *_NAMES)), b"1"),) * random.choice((1_000, 5_000))
    return replace(record, headers=(*many, *record.headers))


def _bytes(data: bytes | None, random: Random) -> bytes | None:
    return random.choice(_VALUES) if random.randrange(2) else change(data or b"", random)[1]


_CHANGES: dict[str, Callable[[Record, Random], Record]] = {
    "key": _key,
    "value": _value,
    "capture time": _time,
    "record's time": _stamp,
    "header": _header,
    "header of another name": _another_name,
    "headers dropped": _dropped,
    "headers of one name": _twice,
    "thousands of headers": _thousands,
}

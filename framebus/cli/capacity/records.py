"""How large the records of frames and detections are on the bus."""

from datetime import UTC, datetime

import numpy as np

from framebus.bus import OutgoingRecord
from framebus.detections import Detections, Thresholds
from framebus.frames import EncodedFrame, FramePosition
from framebus.wire import ModelInForce, Timing, encode_detections, encode_frame

# Of a batch with one record, without key, headers and value; and of a header, without its name and value
# (https://kafka.apache.org/documentation/#recordbatch). Frames that share a batch take less.
_BATCH_BYTES, _RECORD_BYTES, _HEADER_BYTES = 61, 12, 2


def typical_records(objects: int) -> tuple[OutgoingRecord, OutgoingRecord]:
    """A frame whose picture is empty, and its detections with so many objects."""
    frame = EncodedFrame(
        camera_id="camera-100",
        frame_id="camera-100-1769860800250-1000000",
        captured_at=datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC),
        data=b"",
        position=FramePosition("frames", 10, 10**9),
        sequence="1000000",
    )
    model = ModelInForce("pedestrian", "5d65b4b62ec0", Thresholds(60, 15), {1: "person"})
    timing = Timing(wait_ms=14.17, decode_ms=12.41, infer_ms=113.97, total_ms=141.02, batch_size=8)
    return encode_frame(frame, "frames"), encode_detections(frame, _found(objects), model, timing)


def _found(objects: int) -> Detections:
    """As long in JSON as what is found: scores have six decimals, and edges two."""
    return Detections(
        boxes=np.full((objects, 4), 1234.56, np.float32),
        scores=np.full(objects, 0.912345, np.float32),
        class_ids=np.ones(objects, np.int32),
        width=1920,
        height=1080,
    )


def record_bytes(record: OutgoingRecord) -> int:
    """What a record takes on the network and on disk, in a batch of its own."""
    headers = sum(_HEADER_BYTES + len(name) + len(value or b"") for name, value in record.headers)
    return _BATCH_BYTES + _RECORD_BYTES + len(record.key or b"") + len(record.value or b"") + headers

"""One frame on its way through the pipeline."""

from dataclasses import dataclass
from datetime import datetime

from consumer.offsets import OffsetTracker
from framebus.bus import OutgoingRecord, Record
from framebus.errors import FrameError
from framebus.frames import Frame


@dataclass(slots=True, eq=False)
class FlyingFrame:
    """A frame between the poll that brought it and the broker's acknowledgement of what became of it.

    Attributes:
        record: As it was read; what a dead letter repeats.
        offsets: The tracker of its partition, for as long as that is assigned.
        polled_at: Monotonic seconds.
        frame: Decoded; None before, and again after the engine saw it, so that its memory is free.
        decode_s: Time that decoding took.
        queued_at: Monotonic seconds when it was handed to the batcher.
        outcome: What will be published for it, once that is known.
        detections: Number of objects in the outcome.
        captured_at: When the camera took it; None until its headers were read.
        error: Why it became a dead letter; None for one that did not.
        is_smallest: Its dead letter has nothing left that could be left out.
        abandoned: Its partition went to another consumer, so nothing of it may be published here.
    """

    record: Record
    offsets: OffsetTracker
    polled_at: float
    frame: Frame | None = None
    decode_s: float = 0.0
    queued_at: float = 0.0
    outcome: OutgoingRecord | None = None
    detections: int = 0
    captured_at: datetime | None = None
    error: FrameError | None = None
    is_smallest: bool = False
    abandoned: bool = False

    @property
    def camera_id(self) -> str:
        """The camera as far as the record's key tells, whatever its headers are like."""
        partition = self.record.partition
        return (self.record.key or b"").decode(errors="replace") or f"{partition.topic}/{partition.number}"

"""One frame on its way through the pipeline."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime

from consumer.frame_trace import FrameTrace, Untraced
from consumer.limits import Limit
from consumer.offsets import OffsetTracker
from framebus.bus import OutgoingRecord, Record
from framebus.errors import FrameError
from framebus.routes import Route

# What Python holds around the bytes of a record, roughly: tiny frames are not free.
_OVERHEAD_BYTES = 1_024
# A longer key is no camera's.
_LONGEST_ID_BYTES = 1_024


@dataclass(slots=True, eq=False)
class FlyingFrame:
    """A frame between the poll that brought it and the broker's acknowledgement of what became of it.

    Attributes:
        record: As it was read; what a dead letter repeats.
        route: The route of its topic.
        order_key: Frames with equal keys are published in the order of their offsets.
        offsets: The tracker of its partition, for as long as that is assigned.
        in_flight: Where its room is given back when it has landed.
        polled_at: Monotonic seconds.
        trace: What is told of it to those who trace.
        decode_s: Time that decoding took.
        decoded_at: When that ended, in monotonic seconds; None before.
        outcome: What will be published for it, once that is known.
        detections: Number of objects in the outcome.
        captured_at: When the camera took it; None until its headers were read.
        error: Why it became a dead letter; None for one that did not.
        drop_reason: Why it was left out; None for one that was not.
        is_smallest: Its dead letter has nothing left that could be left out.
    """

    record: Record
    route: Route
    order_key: Hashable
    offsets: OffsetTracker
    in_flight: Limit
    polled_at: float
    trace: FrameTrace = field(default_factory=Untraced)
    decode_s: float = 0.0
    decoded_at: float | None = None
    outcome: OutgoingRecord | None = None
    detections: int = 0
    captured_at: datetime | None = None
    error: FrameError | None = None
    drop_reason: str | None = None
    is_smallest: bool = False

    @property
    def camera_id(self) -> str:
        """The camera as far as the record's key tells, whatever its headers say; for logs and metrics."""
        if self.record.key:
            return self.record.key[:_LONGEST_ID_BYTES].decode(errors="replace")
        return f"{self.record.partition.topic}/{self.record.partition.number}"

    @property
    def only_latest(self) -> bool:
        """Whether it may be left out for a newer one of its camera."""
        return self.route.freshness == "latest"

    @property
    def camera_key(self) -> Hashable:
        """Frames with equal keys come from the same camera."""
        return (self.record.partition, self.record.key)

    @property
    def is_abandoned(self) -> bool:
        """Whether its partition went to another consumer, which processes it again."""
        return self.offsets.is_given_away

    @property
    def held_bytes(self) -> int:
        """Memory that it takes, encoded."""
        return len(self.record.value) + _OVERHEAD_BYTES

    def land(self) -> None:
        """It has come to its end, whichever that was: tells so, and makes room."""
        self.trace.landed(self)
        self.in_flight.give_back(self.held_bytes)

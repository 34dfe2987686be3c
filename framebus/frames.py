"""A camera's picture on its way through the consumer: still encoded, then decoded."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""A picture: uint8 (height, width, 3), RGB, rows from the top."""


@dataclass(frozen=True, slots=True)
class FramePosition:
    """Where a frame stands on the bus; what an acknowledged frame commits."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C Trace Context headers, passed on unread (https://www.w3.org/TR/trace-context/)."""

    traceparent: str
    tracestate: str | None = None


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One picture as a camera published it.

    Attributes:
        camera_id: The camera; also the Kafka key, so that a camera stays on one partition.
        frame_id: Unique per camera.
        captured_at: When the picture was taken, timezone-aware UTC.
        content_type: What the publisher said of `data`; the bytes themselves decide how it is decoded.
        data: A complete JPEG, PNG or WebP file.
        position: Where the frame was read; None before it was published.
        model: The one model that should see this frame; None for all of its route.
        sequence: The publisher's running number.
        trace: The trace that this frame belongs to.
    """

    camera_id: str
    frame_id: str
    captured_at: datetime
    data: bytes
    content_type: str = "image/jpeg"
    position: FramePosition | None = None
    model: str | None = None
    sequence: str | None = None
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded picture with what is needed to publish its detections.

    Attributes:
        encoded: The frame as it was read.
        image: uint8 (height, width, 3), RGB.
    """

    encoded: EncodedFrame
    image: Image

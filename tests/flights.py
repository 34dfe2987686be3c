"""Frames in the pipeline, for tests of its stages."""

import time
from typing import Literal

from consumer.flight import FlyingFrame
from consumer.limits import Limit
from consumer.offsets import OffsetTracker
from framebus.routes import Route
from tests.pictures import record


def flying(
    partition: int,
    offset: int,
    *,
    camera_id: str = "cam-1",
    freshness: Literal["all", "latest"] = "all",
    max_frame_age_ms: int | None = None,
    age_ms: int = 0,
    value: bytes | None = None,
) -> FlyingFrame:
    """A frame that was just polled."""
    now_ms = time.time_ns() // 10**6
    read = record(
        value, key=camera_id.encode(), partition=partition, offset=offset, timestamp_ms=now_ms - age_ms
    )
    return FlyingFrame(
        record=read,
        route=Route(
            topic="frames", models=["test-model"], freshness=freshness, max_frame_age_ms=max_frame_age_ms
        ),
        order_key=read.partition if freshness == "all" else (read.partition, read.key),
        offsets=OffsetTracker(),
        in_flight=Limit(1_000, 10**9),
        polled_at=time.monotonic(),
    )

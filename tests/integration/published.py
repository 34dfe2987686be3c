"""Frames and detections, published as cameras and consumers do."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from types import TracebackType
from typing import Self

import numpy as np

from framebus import wire
from framebus.bus import Delivery
from framebus.bus.kafka import KafkaProducer
from framebus.detections import Detections, Thresholds
from framebus.frames import EncodedFrame, FramePosition
from framebus.settings import KafkaSettings

LABELS = {1: "person", 3: "car"}
WIDTH, HEIGHT = 160, 120
BOX = (20, 60, 70, 100)
TIMING = wire.Timing(wait_ms=1, decode_ms=1, infer_ms=1, total_ms=41.6, batch_size=1)

Found = Sequence[tuple[int, float]]
"""Class and score of each object."""


class Publisher:
    """Publishes until everything is acknowledged."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = KafkaProducer(kafka)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with closing(self._producer):
            assert self._producer.flush(30) == 0

    def frame(self, topic: str, camera: str, captured_at: datetime, data: bytes) -> EncodedFrame:
        """A camera's frame; returns it as the consumer reads it."""
        deliveries: list[Delivery] = []
        frame = EncodedFrame(camera, f"{camera}-{captured_at.timestamp()}", captured_at, data)
        assert self._producer.publish(wire.encode_frame(frame, topic), deliveries.append)
        assert self._producer.flush(30) == 0
        [delivery] = deliveries
        assert delivery.partition is not None
        assert delivery.offset is not None
        position = FramePosition(topic, delivery.partition.number, delivery.offset)
        return EncodedFrame(camera, frame.frame_id, captured_at, data, position=position)

    def detections(self, frame: EncodedFrame, model: str, found: Found = ()) -> None:
        """What a model found in a frame of `WIDTH` and `HEIGHT`, each in `BOX`."""
        detections = Detections(
            boxes=np.array([BOX] * len(found), np.float32).reshape(-1, 4),
            scores=np.array([score for _, score in found], np.float32),
            class_ids=np.array([class_id for class_id, _ in found], np.int32),
            width=WIDTH,
            height=HEIGHT,
        )
        in_force = wire.ModelInForce(model, "0123456789ab", Thresholds(30, 10), LABELS)
        assert self._producer.publish(wire.encode_detections(frame, detections, in_force, TIMING))

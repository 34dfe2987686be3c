"""Cameras on a bus in memory whose frames are answered at once, and what a viewer gets to see."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import httpx
import numpy as np
import orjson

from framebus import wire
from framebus.bus import OutgoingRecord, TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.detections import Detections, Thresholds
from framebus.frames import EncodedFrame, FramePosition
from tests.pictures import jpeg

MODEL = "people"


class Stream:
    """One camera whose frames go through a model that finds one person in each."""

    def __init__(self, bus: MemoryBus, camera: str, topic: str = "frames") -> None:
        self.bus, self.camera, self.topic = bus, camera, topic
        bus.create_topics([TopicSpec(name, 2, 1, {}) for name in (topic, f"detections.{MODEL}")])

    def frame(self, picture: bytes | None = None) -> tuple[EncodedFrame, FramePosition]:
        """Publishes a frame; returns it and its place."""
        frame = EncodedFrame(
            camera_id=self.camera,
            frame_id="1",
            captured_at=datetime.now(UTC),
            data=jpeg() if picture is None else picture,
            content_type="image/jpeg",
        )
        delivery = self.bus.append(wire.encode_frame(frame, self.topic))
        assert delivery.partition is not None
        assert delivery.offset is not None
        return frame, FramePosition(self.topic, delivery.partition.number, delivery.offset)

    def answer(self, frame: EncodedFrame, position: FramePosition) -> str:
        """Publishes its detections; returns the place as viewers name it."""
        found = Detections(
            boxes=np.array([[1, 2, 30, 40]], np.float32),
            scores=np.array([0.9], np.float32),
            class_ids=np.array([1], np.int32),
            width=64,
            height=48,
        )
        model = wire.ModelInForce(MODEL, "v1", Thresholds(60, 15), {1: "person"})
        seen = EncodedFrame(
            camera_id=frame.camera_id,
            frame_id=frame.frame_id,
            captured_at=frame.captured_at,
            data=frame.data,
            content_type=frame.content_type,
            position=position,
        )
        self.say(wire.encode_detections(seen, found, model, wire.Timing(1, 1, 1, 1, 1)))
        return f"{position.topic}/{position.partition}/{position.offset}"

    def say(self, record: OutgoingRecord) -> None:
        assert self.bus.append(record).error is None

    def next(self, picture: bytes | None = None) -> str:
        """A frame and its detections; returns its place."""
        return self.answer(*self.frame(picture))


def unpack(response: httpx.Response) -> tuple[dict[str, Any], dict[str, tuple[str, bytes]]]:
    """Reads an answer of `/live`: detections by camera, and kind and bytes of the pictures by place."""
    assert response.status_code == 200, response.text
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    form = message_from_bytes(head + response.content, policy=policy.HTTP)
    parts: dict[str, tuple[str, bytes]] = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(content, bytes)
        parts[name] = part.get_content_type(), content
    kind, detections = parts.pop("detections")
    assert kind == "application/json"
    return orjson.loads(detections), parts

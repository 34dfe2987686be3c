"""Frames that wait on a topic before anything is measured, so that no camera takes time meanwhile."""

from collections.abc import Sequence
from datetime import UTC, datetime

from framebus.bus import OutgoingRecord
from framebus.bus.kafka import KafkaAdmin, KafkaProducer
from framebus.errors import TransportError
from framebus.frames import EncodedFrame
from framebus.settings import Settings
from framebus.topics import topic_specs
from framebus.wire import encode_frame

CAMERAS = 8
_POLL_S = 0.01
_FLUSH_TIMEOUT_S = 120.0


def create_topics(settings: Settings) -> None:
    """Creates the topics of frames and dead letters; frames stay for as long as the measurement takes."""
    topics = settings.topics.model_copy(update={"frames_retention_ms": -1, "frames_retention_bytes": -1})
    KafkaAdmin(settings.kafka).create_topics(topic_specs(topics))


class Backlog:
    """The topic of frames, which exists and is published to by nobody else.

    Args:
        settings: Which broker and topic.
        jpegs: What cameras publish, in turn and again and again.
        cameras: Their ids.
    """

    def __init__(
        self, settings: Settings, jpegs: Sequence[bytes], cameras: Sequence[str] | None = None
    ) -> None:
        self._settings = settings
        self._jpegs = jpegs
        self._cameras = cameras or [camera_of(number) for number in range(CAMERAS)]
        self.frames = 0
        """How many are there."""

    def grow_to(self, frames: int) -> None:
        """Publishes until there are so many.

        Raises:
            TransportError: The broker does not take them.
        """
        producer = KafkaProducer(self._settings.kafka)
        try:
            for number in range(self.frames, frames):
                record = self._record(number)
                while not producer.publish(record):
                    producer.poll(_POLL_S)
            if missing := producer.flush(_FLUSH_TIMEOUT_S):
                raise TransportError(
                    f"the broker did not take {missing} of {frames} frames; is its disk full?"
                )
        finally:
            producer.close()
        self.frames = max(self.frames, frames)

    def _record(self, number: int) -> OutgoingRecord:
        frame = EncodedFrame(
            camera_id=self._cameras[number % len(self._cameras)],
            frame_id=str(number),
            captured_at=datetime.now(UTC),
            data=self._jpegs[number % len(self._jpegs)],
        )
        return encode_frame(frame, self._settings.topics.frames)


def camera_of(number: int) -> str:
    """The camera of a frame: they take turns."""
    return f"cam-{number % CAMERAS}"

"""Publishes what cameras would, each frame at its time."""

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from framebus import wire
from framebus.bus import Delivery
from framebus.bus.kafka import KafkaProducer
from framebus.frames import EncodedFrame
from framebus.images import content_type
from framebus.settings import KafkaSettings
from tests.tools.camera_load.cameras import Camera, schedule

Action = tuple[float, Callable[[], None]]
"""Seconds from the start, and what is to be done then."""

_FLUSH_TIMEOUT_S = 60.0
_FULL_BUFFER_WAIT_S = 0.01


class Publisher:
    """Publishes frames under running numbers, captured as they are published.

    Args:
        settings: Where the broker is.
        topic: The topic of the frames.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._producer = KafkaProducer(settings)
        self._topic = topic
        self._failures: list[str] = []
        self.published = 0
        self.most_behind_s = 0.0
        """How long after its time a frame was published at most."""

    def publish_backlog(self, cameras: Sequence[Camera], frames: int) -> None:
        """Publishes so many frames at once, in the order in which the cameras would."""
        for _, camera in itertools.islice(schedule(cameras, 1.0), frames):
            self._publish(camera)
        self._finish()

    def publish_live(
        self,
        cameras: Sequence[Camera],
        frames_per_s: float,
        seconds: float,
        actions: Iterable[Action] = (),
    ) -> None:
        """Publishes so many frames per second, over all cameras, and acts in between."""
        started_s = time.monotonic()
        to_come = sorted(actions, key=lambda action: action[0])
        for at_s, camera in schedule(cameras, frames_per_s):
            if at_s > seconds:
                break
            while (left_s := started_s + at_s - time.monotonic()) > 0:
                self._producer.poll(left_s)
            self.most_behind_s = max(self.most_behind_s, -left_s)
            while to_come and to_come[0][0] <= at_s:
                to_come.pop(0)[1]()
            self._publish(camera)
        self._finish()

    def _publish(self, camera: Camera) -> None:
        picture = camera.pictures[self.published % len(camera.pictures)]
        frame = EncodedFrame(
            camera_id=camera.camera_id,
            frame_id=str(self.published),
            captured_at=datetime.now(UTC),
            data=picture,
            content_type=content_type(picture),
        )
        record = wire.encode_frame(frame, self._topic)
        while not self._producer.publish(record, self._delivered):
            self._producer.poll(_FULL_BUFFER_WAIT_S)
        self._producer.poll(0)
        self.published += 1

    def _delivered(self, delivery: Delivery) -> None:
        if delivery.error is not None:
            self._failures.append(delivery.error)

    def _finish(self) -> None:
        undelivered = self._producer.flush(_FLUSH_TIMEOUT_S)
        self._producer.close()
        if undelivered or self._failures:
            raise SystemExit(
                f"{undelivered + len(self._failures)} frames could not be published: {self._failures[:3]}"
            )

"""Cameras that publish frames when they are due, whatever becomes of them."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from framebus.bus.kafka import KafkaProducer
from framebus.cli.bench.backlog import camera_of
from framebus.cli.bench.footage import read_footage
from framebus.errors import TransportError
from framebus.frames import EncodedFrame
from framebus.settings import Settings
from framebus.wire import encode_frame

_LEAD_S = 0.2
_FLUSH_TIMEOUT_S = 60.0


class CameraLoad:
    """Several cameras, evenly staggered, in a process of their own (`child.Child`).

    Args:
        settings: Which broker and topic.
        video: Where the frames come from.
    """

    def __init__(self, settings: Settings, video: Path) -> None:
        self._topic = settings.topics.frames
        self._jpegs: Sequence[bytes] = read_footage(video).jpegs
        self._producer = KafkaProducer(settings.kafka)

    def publish(self, run: str, fps: float, frames: int) -> float:
        """Publishes so many frames, all cameras together at a constant rate.

        Each frame was captured when it was due, though this process may have been late: a wait for anything
        counts as latency of the frames behind it, and never makes them fewer.

        Args:
            run: Frame n has the id `<run>-<n>`.
            fps: Frames per second.
            frames: How many.

        Returns:
            When the first one was due, in seconds since 1970; frame n was due n / fps later.

        Raises:
            TransportError: The broker does not take them.
        """
        first_s = time.monotonic() + _LEAD_S
        captured_s = time.time() + _LEAD_S
        for number in range(frames):
            time.sleep(max(first_s + number / fps - time.monotonic(), 0))
            frame = EncodedFrame(
                camera_id=camera_of(number),
                frame_id=f"{run}-{number}",
                captured_at=datetime.fromtimestamp(captured_s + number / fps, UTC),
                data=self._jpegs[number % len(self._jpegs)],
            )
            record = encode_frame(frame, self._topic)
            while not self._producer.publish(record):
                self._producer.poll(1 / fps)
            self._producer.poll(0)
        if missing := self._producer.flush(_FLUSH_TIMEOUT_S):
            raise TransportError(f"the broker did not take {missing} of {frames} frames")
        return captured_s

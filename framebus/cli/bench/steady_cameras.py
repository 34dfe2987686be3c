"""Any number of cameras that together publish frames at a constant rate, while somebody else measures."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from framebus.bus.kafka import KafkaProducer
from framebus.cli.bench.footage import read_footage
from framebus.errors import TransportError
from framebus.frames import EncodedFrame
from framebus.settings import Settings
from framebus.wire import encode_frame


class SteadyCameras:
    """The cameras; to run in a process of its own (`child.Child`). One load is on at a time.

    Args:
        settings: Which broker.
        video: Where the frames come from; they are published as JPEG.
    """

    def __init__(self, settings: Settings, video: Path) -> None:
        self._producer = KafkaProducer(settings.kafka)
        self._jpegs = read_footage(video).jpegs
        self._off = threading.Event()
        self._thread: threading.Thread | None = None
        self._published = 0
        self._failure: Exception | None = None

    def begin(self, topic: str, cameras: int, fps: float) -> None:
        """Puts a load on, which stays on until `end`.

        Args:
            topic: It exists.
            cameras: They take turns, so that frames come evenly, however many there are.
            fps: Frames per second of all of them together.
        """
        self._off.clear()
        self._published = 0
        self._thread = threading.Thread(target=self._publish, args=(topic, cameras, fps))
        self._thread.start()

    def published(self) -> int:
        """How many frames the load has had so far.

        Raises:
            TransportError: The broker does not take them.
        """
        if self._failure is not None:
            raise self._failure
        return self._published

    def end(self) -> None:
        """Takes the load off.

        Raises:
            TransportError: The broker did not take its frames.
        """
        self._off.set()
        if self._thread is not None:
            self._thread.join()
        self.published()

    def _publish(self, topic: str, cameras: int, fps: float) -> None:
        began_s = time.monotonic()
        try:
            # One that is late makes up for it: a constant rate is what is asked for.
            while not self._off.wait(began_s + self._published / fps - time.monotonic()):
                frame = EncodedFrame(
                    camera_id=f"cam-{self._published % cameras}",
                    frame_id=str(self._published),
                    captured_at=datetime.now(UTC),
                    data=self._jpegs[self._published % len(self._jpegs)],
                )
                if self._producer.publish(encode_frame(frame, topic)):
                    self._published += 1
                self._producer.poll(0)
        except TransportError as error:
            self._failure = error

"""Reads one camera on a thread of its own, so that cameras never hold each other up."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice

from framebus.errors import CameraError
from framebus.frames import EncodedFrame
from framebus.logs import get_logger
from producer.cameras.camera import Camera, Picture
from producer.pace import Pace

log = get_logger("producer")


class CameraReader:
    """Turns one camera's pictures into frames, each when it is due.

    A frame's id is `<camera>-<start of the run in ms since 1970>-<number>`, its sequence that number, from 1.

    Attributes:
        camera_id: The camera's name on the bus.
        failure: Why the camera ended before its time: a CameraError, or a bug.

    Args:
        camera_id: The camera's name on the bus.
        camera: Its source.
        accept: Takes each frame; must not block.
        stop: Ends the reading, also in the middle of a wait.
        loop: Start again at the end.
        max_frames: Frames to read; None: all.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        camera_id: str,
        camera: Camera,
        *,
        accept: Callable[[EncodedFrame], None],
        stop: threading.Event,
        loop: bool = False,
        max_frames: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.camera_id = camera_id
        self.failure: BaseException | None = None
        self._camera = camera
        self._accept = accept
        self._stop = stop
        self._loop = loop
        self._max_frames = max_frames
        self._pace = Pace(clock)
        # A daemon, so that a camera that hangs cannot keep the process alive.
        self._thread = threading.Thread(target=self.run, name=f"camera-{camera_id}", daemon=True)

    def start(self) -> None:
        """Starts `run` on the reader's own thread."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the camera may still give frames."""
        return self._thread.is_alive()

    @property
    def overdue_s(self) -> float:
        """Seconds by which the camera's next picture is late; 0 if none is to come."""
        return self._pace.overdue_s if self.running else 0.0

    def run(self) -> None:
        """Reads until the camera ends; what went wrong is then in `failure`."""
        try:
            frames = self._read()
            log.info("camera ended", camera=self.camera_id, frames=frames)
        except CameraError as error:
            log.error("camera failed", camera=self.camera_id, error=str(error))
            self.failure = error
        except BaseException as error:
            self.failure = error

    def _read(self) -> int:
        started_ms = time.time_ns() // 10**6
        number = 0
        with closing(self._passes()) as pictures:
            for number, picture in enumerate(islice(pictures, self._max_frames), 1):
                if self._stop.wait(self._pace.wait_s(picture.lasts_s)):
                    return number - 1
                self._accept(
                    EncodedFrame(
                        camera_id=self.camera_id,
                        frame_id=f"{self.camera_id}-{started_ms}-{number}",
                        captured_at=datetime.now(UTC),
                        data=picture.data,
                        content_type=picture.content_type,
                        sequence=str(number),
                    )
                )
        return number

    def _passes(self) -> Generator[Picture, None, None]:
        yield from self._camera.pictures()
        while self._loop:
            yield from self._camera.pictures()

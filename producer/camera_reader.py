"""Reads one camera on threads of its own, so that cameras never hold each other up."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime

from framebus.backoff import Backoff
from framebus.errors import CameraError, FrameError
from framebus.frames import EncodedFrame
from framebus.logs import get_logger
from producer.camera_spec import CameraSpec
from producer.cameras.camera import Camera, Picture
from producer.encoder import Encoder
from producer.live_feed import LiveFeed
from producer.pace import Pace
from producer.rate_limit import RateLimit

log = get_logger("producer")

Skipped = Callable[[str, str, str | None], None]
"""Takes a camera id, the reason in one word, and for the log what was wrong with the picture, if anything."""


class CameraReader:
    """Turns one camera's pictures into frames, each when it is due.

    A frame's id is `<camera>-<start of the run in ms since 1970>-<number>`, its sequence that number, from 1.

    Attributes:
        spec: What the camera is to do.
        failure: Why the camera ended before its time: a CameraError, or a bug.

    Args:
        spec: What the camera is to do.
        camera: Its source.
        encoder: Makes its pictures into what is published.
        accept: Takes each frame; must not block.
        skipped: Learns of each picture that becomes no frame.
        max_frames: Frames to read; None: all.
        max_reconnect_delay_s: Longest wait between attempts to reach a live camera.
        stop: Ends the reading, also in the middle of a wait; set by `stop`.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        spec: CameraSpec,
        camera: Camera,
        *,
        encoder: Encoder,
        accept: Callable[[EncodedFrame], None],
        skipped: Skipped,
        max_frames: int | None = None,
        max_reconnect_delay_s: float = 30,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.failure: BaseException | None = None
        self._camera = camera
        self._encoder = encoder
        self._accept = accept
        self._skipped = skipped
        self._max_frames = max_frames
        self._clock = clock
        self._last_picture_s = clock()
        self._limit = RateLimit(spec.max_fps, clock)
        self._pace = Pace(clock)
        self._stop = stop or threading.Event()
        self._accepting = threading.Lock()
        self._feed = (
            LiveFeed(
                spec.id,
                camera,
                stop=self._stop,
                pace=self._pace,
                backoff=Backoff(max_reconnect_delay_s),
                left_out=lambda: skipped(spec.id, "superseded", None),
                clock=clock,
            )
            if camera.live
            else None
        )
        # A daemon, so that a camera that hangs cannot keep the process alive.
        self._thread = threading.Thread(target=self.run, name=f"camera-{spec.id}", daemon=True)

    def start(self) -> None:
        """Starts `run` on the reader's own thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the reading: no frame is accepted any more. Does not wait for the source to be closed."""
        with self._accepting:
            self._stop.set()
        if self._feed is not None:
            self._feed.wake()

    @property
    def running(self) -> bool:
        """Whether the camera may still give frames."""
        return self._thread.is_alive()

    @property
    def open(self) -> bool:
        """Whether the camera's source may still be open; a source that hangs is so long after the end."""
        return self.running or (self._feed is not None and self._feed.running)

    @property
    def connected(self) -> bool:
        """Whether the camera is there: a live one gives pictures, any other has not come to its end."""
        return self.running and (self._feed is None or self._feed.connected)

    @property
    def reconnects(self) -> int:
        """How often a live camera came back after it was lost."""
        return 0 if self._feed is None else self._feed.reconnects

    @property
    def silence_s(self) -> float:
        """Seconds since the last picture that became a frame, or since the start if there was none yet."""
        return self._clock() - self._last_picture_s

    @property
    def trouble(self) -> str | None:
        """Why a live camera cannot be read at the moment, as the log told; None: nothing is wrong as yet."""
        return None if self._feed is None else self._feed.trouble

    @property
    def overdue_s(self) -> float:
        """Seconds by which the camera's next picture is late; 0 if none is to come."""
        return self._pace.overdue_s if self.running else 0.0

    def run(self) -> None:
        """Reads until the camera ends; what went wrong is then in `failure`."""
        try:
            frames = self._read()
            log.info("camera ended", camera=self.spec.id, frames=frames)
        except CameraError as error:
            log.error("camera failed", camera=self.spec.id, error=str(error))
            self.failure = error
        except BaseException as error:
            self.failure = error
        finally:
            self._stop.set()

    def _read(self) -> int:
        started_ms = time.time_ns() // 10**6
        number = 0
        with closing(self._play() if self._feed is None else self._feed.pictures()) as pictures:
            for captured_at, picture in pictures:
                if (encoded := self._encoded(picture)) is None:
                    continue
                self._last_picture_s = self._clock()
                data, content_type = encoded
                frame = EncodedFrame(
                    camera_id=self.spec.id,
                    frame_id=f"{self.spec.id}-{started_ms}-{number + 1}",
                    captured_at=captured_at,
                    data=data,
                    content_type=content_type,
                    model=self.spec.model,
                    sequence=str(number + 1),
                )
                with self._accepting:
                    if self._stop.is_set():
                        break
                    self._accept(frame)
                number += 1
                if number == self._max_frames:
                    break
        return number

    def _play(self) -> Generator[tuple[datetime, Picture], None, None]:
        """Yields the pictures of a camera that is not live, each when it is due."""
        while True:
            with closing(self._camera.pictures()) as pictures:
                for picture in pictures:
                    if self._stop.wait(self._pace.wait_s(picture.lasts_s)):
                        return
                    yield datetime.now(UTC), picture
            if not self.spec.loop:
                return

    def _encoded(self, picture: Picture) -> tuple[bytes, str] | None:
        if not self._limit.allows():
            self._skipped(self.spec.id, "rate_limited", None)
            return None
        try:
            return self._encoder.encode(picture)
        except FrameError as error:
            self._skipped(self.spec.id, error.reason, str(error))
            return None

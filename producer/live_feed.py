"""Keeps one live camera connected, on a thread of its own, and has its newest picture ready."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime

from framebus.backoff import Backoff
from framebus.errors import CameraError
from framebus.logs import get_logger
from producer.cameras.camera import Camera, Picture
from producer.pace import Pace

# A camera that is lost sooner than this is not well yet: it is tried less and less often, as if it had not
# been there at all. One that comes and goes would otherwise fill the log.
_STEADY_S = 10.0

log = get_logger("producer")


class LiveFeed:
    """The pictures of a live camera: always the newest, for ever.

    A camera that ends or fails is opened again, after a wait that grows. Pictures that are not taken before
    the next one comes are left out: to wait for whoever takes them would make all later ones old.

    Attributes:
        connected: Whether the camera gave a picture since it was opened last.
        reconnects: How often it came back after it was lost.
        trouble: Why it was lost or cannot be read, as the log told; None: nothing is wrong as yet.
        failure: A bug that ended the reading.

    Args:
        camera_id: The camera, for the log.
        camera: Its source.
        stop: Ends the feed; `wake` has to follow.
        pace: Kept with the pictures as they come.
        backoff: The waits between attempts.
        left_out: Called for each picture that nobody took.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        camera_id: str,
        camera: Camera,
        *,
        stop: threading.Event,
        pace: Pace,
        backoff: Backoff,
        left_out: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connected = False
        self.reconnects = 0
        self.trouble: str | None = None
        self.failure: BaseException | None = None
        self._camera_id = camera_id
        self._camera = camera
        self._stop = stop
        self._pace = pace
        self._backoff = backoff
        self._left_out = left_out
        self._clock = clock
        self._known = False
        self._connected_s = 0.0
        self._newest: tuple[datetime, Picture] | None = None
        self._changed = threading.Condition()
        # A daemon, so that a camera that hangs cannot keep the process alive.
        self._thread = threading.Thread(target=self._read_on, name=f"camera-{camera_id}-source", daemon=True)

    @property
    def running(self) -> bool:
        """Whether the source may still be open."""
        return self._thread.is_alive()

    def pictures(self) -> Generator[tuple[datetime, Picture], None, None]:
        """Yields the newest picture and when it was taken, each at most once, until the feed is stopped."""
        self._thread.start()
        while (newest := self._take()) is not None:
            yield newest
        if self.failure is not None:
            raise self.failure

    def _take(self) -> tuple[datetime, Picture] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._stop.is_set() or self.failure)
            newest, self._newest = self._newest, None
            return newest

    def wake(self) -> None:
        """Lets `pictures` see that it is to end; does not wait for the source."""
        with self._changed:
            self._changed.notify_all()

    def _read_on(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._read_once()
                    self._lost("the stream ended")
                except CameraError as error:
                    self._lost(str(error))
                self._stop.wait(self._backoff.wait_s())
        except BaseException as error:
            self.failure = error
            self.wake()

    def _read_once(self) -> None:
        with closing(self._camera.pictures()) as pictures:
            for picture in pictures:
                if self._stop.is_set():
                    return
                self._found()
                self._pace.wait_s(picture.lasts_s)
                with self._changed:
                    if self._newest is not None:
                        self._left_out()
                    self._newest = datetime.now(UTC), picture
                    self._changed.notify_all()
                self._stop.wait(self._pace.left_s)

    def _found(self) -> None:
        if self.connected:
            return
        log.info("camera connected", camera=self._camera_id)
        self.reconnects += self._known
        self.connected = self._known = True
        self.trouble = None
        self._connected_s = self._clock()

    def _lost(self, trouble: str) -> None:
        """Tells of a change; the same trouble again and again is told once."""
        if not self._stop.is_set() and trouble != self.trouble:
            event = "camera lost" if self.connected else "camera cannot be read"
            log.warning(event, camera=self._camera_id, error=trouble)
        if self.connected and self._clock() - self._connected_s >= _STEADY_S:
            self._backoff.reset()
        self.connected = False
        self.trouble = trouble

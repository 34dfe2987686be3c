"""What viewers see: of each camera they watch, its newest frame and the detections that belong to it.

Viewers ask for what is newer than what they have, as often as they like; the bus is read once for all of
them, and only while somebody watches. So a slow viewer slows nobody, and many cost the bus no more than one.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from framebus import images
from framebus.bus import Bus, BusLookup, Partition, Record
from framebus.errors import FrameError, TransportError
from framebus.logs import get_logger
from framebus.settings import TOPIC_NAME, Settings
from framebus.topics import detections_topic, is_for_frames

# A viewer asks again within a few seconds, if it is still there.
_WATCHED_S = 10.0
# Pictures that are shown to viewers: of a camera at most five per second, and of all so many.
_PICTURE_INTERVAL_S = 0.2
_MAX_PICTURES_PER_S = 24
_PICTURE_TIMEOUT_S = 1.0
_READ_AHEAD_BYTES = 16 * 2**20
_POLL_TIMEOUT_S = 0.05
_MAX_RECORDS = 500
_RETRY_INTERVAL_S = 1.0
_JOIN_TIMEOUT_S = 3.0

log = get_logger("api")


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A frame of a camera, with its detections.

    Attributes:
        place: Where it stands on the bus: topic/partition/offset.
        message: Its detection message, as it was published.
        picture: The image file that the camera published; None if the bus does not keep it any more.
        content_type: Of the picture; empty without one.
    """

    place: str
    message: bytes
    picture: bytes | None
    content_type: str


class WatchedModel:
    """Follows the detections of one model while somebody watches, on a thread of its own.

    Args:
        model: The model.
        bus: Where detections and frames are.
        settings: Say which topics may hold frames, and how many pixels are too many.
        is_idle: Asked when nobody watches any more; the thread ends if it agrees.
    """

    def __init__(self, model: str, bus: Bus, settings: Settings, is_idle: Callable[[], bool]) -> None:
        self._topic = detections_topic(model)
        self._bus, self._settings, self._is_idle = bus, settings, is_idle
        self._stop = threading.Event()
        self._lock = threading.Lock()
        # Until when each camera is watched, in monotonic seconds.
        self._watched: dict[str, float] = {}
        self._frames: dict[str, LiveFrame] = {}
        # Detections whose frame was not read yet, the newest of each camera.
        self._pending: dict[str, Record] = {}
        self._due_s: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name=f"live {model}", daemon=True)
        self.is_reading = False
        """Whether what comes from now on is seen."""
        self.trouble: str | None = None
        """Why nothing comes, in words; None if nothing is known to be wrong."""
        self.failure: Exception | None = None
        """The bug that ended it."""

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Tells it to end."""
        self._stop.set()

    def join(self) -> None:
        """Waits until it has ended, unless a broker that does not answer holds it up."""
        self._thread.join(_JOIN_TIMEOUT_S)

    def watch(self, cameras: Mapping[str, str | None]) -> None:
        """Keeps these cameras watched for some seconds."""
        until_s = time.monotonic() + _WATCHED_S
        with self._lock:
            self._watched.update(dict.fromkeys(cameras, until_s))

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches; forgets the cameras that nobody does."""
        now_s = time.monotonic()
        with self._lock:
            for camera in [camera for camera, until_s in self._watched.items() if until_s < now_s]:
                for known in (self._watched, self._frames, self._pending, self._due_s):
                    known.pop(camera, None)
            return bool(self._watched)

    def newer(self, seen: Mapping[str, str | None], max_bytes: int) -> dict[str, LiveFrame]:
        """Returns the frames that a viewer has not seen, in its order, up to so many bytes; one at least.

        Args:
            seen: By camera the place of the frame that the viewer has, or None.
            max_bytes: Of the pictures.
        """
        found: dict[str, LiveFrame] = {}
        for camera, place in seen.items():
            frame = self._frames.get(camera)
            if frame is None or not _is_newer(frame.place, place):
                continue
            max_bytes -= len(frame.picture or b"")
            if found and max_bytes < 0:
                break
            found[camera] = frame
        return found

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._follow()
                except TransportError as error:
                    self.trouble = str(error)
                    log.warning("detections cannot be shown, trying again", error=self.trouble)
                    self._stop.wait(_RETRY_INTERVAL_S)
                if not self.is_watched and self._is_idle():
                    return
        except Exception as error:
            self.failure = error  # whoever runs this program ends it
            raise

    def _follow(self) -> None:
        reader, lookup = self._bus.reader(), self._bus.lookup(_READ_AHEAD_BYTES)
        try:
            reader.follow([self._topic], from_start=False)
            self.is_reading, self.trouble = True, None
            while not self._stop.is_set() and self.is_watched:
                for record in reader.poll(_MAX_RECORDS, _POLL_TIMEOUT_S):
                    camera = (record.key or b"").decode(errors="replace")
                    if camera in self._watched:
                        self._pending[camera] = record
                self._show(lookup)
        finally:
            self.is_reading = False
            lookup.close()
            reader.close()

    def _show(self, lookup: BusLookup) -> None:
        now_s = time.monotonic()
        interval_s = max(_PICTURE_INTERVAL_S, len(self._watched) / _MAX_PICTURES_PER_S)
        due = [camera for camera in self._pending if self._due_s.get(camera, 0) <= now_s]
        # In the order in which their frames stand on the bus, more or less.
        for camera in sorted(due, key=lambda camera: self._pending[camera].timestamp_ms):
            self._due_s[camera] = now_s + interval_s
            frame = self._frame(self._pending.pop(camera), lookup)
            if frame is not None:
                self._frames[camera] = frame

    def _frame(self, record: Record, lookup: BusLookup) -> LiveFrame | None:
        source = _source(record.value)
        if source is None:
            log.warning("not a detection message", topic=self._topic, offset=record.offset)
            return None
        partition, offset = source
        place = f"{partition.topic}/{partition.number}/{offset}"
        # A message could name any topic, and what stands on the others is none of a viewer's business.
        if not is_for_frames(partition.topic, self._settings.topics):
            return LiveFrame(place, record.value, None, "")
        found = lookup.find(partition, offset, _PICTURE_TIMEOUT_S)
        try:
            picture = b"" if found is None else found.value
            images.checked_size(picture, self._settings.api.max_image_pixels)
            return LiveFrame(place, record.value, picture, images.content_type(picture))
        except FrameError:
            return LiveFrame(place, record.value, None, "")


class Live:
    """The models that are watched.

    Args:
        bus: Where detections and frames are.
        settings: All settings.
    """

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self._bus, self._settings = bus, settings
        self._models: dict[str, WatchedModel] = {}
        self._lock = threading.Lock()

    def watch(self, model: str, cameras: Mapping[str, str | None]) -> WatchedModel:
        """Begins, or goes on, to follow cameras as one model sees them."""
        with self._lock:
            watched = self._models.get(model)
            if is_new := watched is None:
                watched = WatchedModel(model, self._bus, self._settings, lambda: self._forget(model))
                self._models[model] = watched
            watched.watch(cameras)
        if is_new:
            watched.start()
        return watched

    def _forget(self, model: str) -> bool:
        with self._lock:
            if self._models[model].is_watched:
                return False
            del self._models[model]
            return True

    @property
    def failure(self) -> Exception | None:
        """The bug that ended one of them."""
        with self._lock:
            return next((one.failure for one in self._models.values() if one.failure is not None), None)

    def stop(self) -> None:
        """Ends all of them."""
        with self._lock:
            models = list(self._models.values())
        for one in models:
            one.stop()
        for one in models:
            one.join()


def _source(message: bytes) -> tuple[Partition, int] | None:
    """Where a detection message says that its frame stands; None if that can be no place on a bus."""
    try:
        read = orjson.loads(message)
    except ValueError:
        return None
    match read:
        case {"source": {"topic": str(topic), "partition": int(number), "offset": int(offset)}}:
            is_place = TOPIC_NAME.fullmatch(topic) and 0 <= number < 2**31 and 0 <= offset < 2**63
            return (Partition(topic, number), offset) if is_place else None
    return None


def _is_newer(place: str, seen: str | None) -> bool:
    """Whether a frame is newer than one that was seen; on another partition, any is."""
    partition, _, offset = place.rpartition("/")
    seen_partition, _, seen_offset = (seen or "").rpartition("/")
    return partition != seen_partition or not seen_offset.isdecimal() or int(offset) > int(seen_offset)

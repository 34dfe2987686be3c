"""The cameras of one producer: starts them, watches them, and puts others in their place."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from framebus.errors import CameraError
from framebus.logs import get_logger
from producer.camera_reader import CameraReader
from producer.camera_spec import CameraSpec

# A camera that is late by this much gets a line in the log.
_SILENCE_S = 10.0

log = get_logger("producer")


class CameraSet:
    """Keeps one reader per camera. Used by one thread; others may iterate over it.

    Args:
        reader: Makes the reader of a camera, not started yet.
    """

    def __init__(self, reader: Callable[[CameraSpec], CameraReader]) -> None:
        self._reader = reader
        self._readers: dict[str, CameraReader] = {}
        self._stopped: list[CameraReader] = []
        self._silent: set[str] = set()

    def __iter__(self) -> Iterator[CameraReader]:
        """The readers of the cameras in force."""
        return iter(list(self._readers.values()))

    @property
    def running(self) -> bool:
        """Whether any camera may still give frames."""
        return any(reader.running for reader in self)

    @property
    def open(self) -> bool:
        """Whether the source of any camera, also of a stopped one, may still be open."""
        return any(reader.open for reader in (*self, *self._stopped))

    @property
    def failures(self) -> dict[str, str]:
        """Why cameras ended before their time, by id; a live camera never does."""
        return {reader.spec.id: str(reader.failure) for reader in self if reader.failure is not None}

    def replace(self, cameras: Sequence[CameraSpec]) -> None:
        """Makes these the cameras: starts new ones, stops those that are gone, restarts those that changed.

        A camera that is the same as before goes on untouched; if it had failed, it gets another try.
        """
        wanted: Mapping[str, CameraSpec] = {camera.id: camera for camera in cameras}
        for reader in self:
            camera_id = reader.spec.id
            if wanted.get(camera_id) == reader.spec and reader.failure is None:
                continue
            log.info("camera changed" if camera_id in wanted else "camera removed", camera=camera_id)
            reader.stop()
            self._stopped = [old for old in (*self._stopped, reader) if old.open]
            self._silent.discard(camera_id)
            del self._readers[camera_id]
        for camera_id, camera in wanted.items():
            if camera_id not in self._readers:
                log.info("camera started", camera=camera_id)
                self._readers[camera_id] = self._reader(camera)
                self._readers[camera_id].start()

    def stop(self) -> None:
        """Ends all cameras: none gives a frame any more. Does not wait for their sources to be closed."""
        for reader in self:
            reader.stop()

    def watch(self) -> None:
        """Tells of cameras that went silent without a word, and raises the bug of one that met a bug."""
        for reader in self:
            if reader.failure is not None and not isinstance(reader.failure, CameraError):
                raise reader.failure
            if reader.overdue_s < _SILENCE_S or reader.trouble is not None:
                self._silent.discard(reader.spec.id)
            elif reader.spec.id not in self._silent:
                self._silent.add(reader.spec.id)
                log.warning("camera gives no pictures", camera=reader.spec.id, for_s=_SILENCE_S)

"""The way a frame takes: camera -> pace -> buffer -> publish -> acknowledged.

Each camera reads on a thread of its own; the thread that calls `run` publishes for all of them.
"""

import threading
import time
from collections.abc import Mapping

from framebus.bus import BusProducer
from framebus.errors import CameraError
from framebus.frames import EncodedFrame
from framebus.logs import get_logger
from framebus.settings import Settings
from producer.buffer import FrameBuffer
from producer.camera_reader import CameraReader
from producer.cameras.camera import Camera
from producer.metrics import ProducerMetrics
from producer.publisher import Publisher
from producer.tally import Summary, Tally

# A camera that is late by this much gets a line in the log.
_SILENCE_S = 10.0
# How long a stop waits for cameras that are in the middle of a picture.
_CAMERA_PATIENCE_S = 5.0

log = get_logger("producer")


class Pipeline:
    """One producer's cameras and their way to the bus.

    Args:
        settings: All settings.
        cameras: The cameras by their ids.
        producer: Owned by the thread that calls `run`.
        metrics: Where everything is counted.
        loop: Start cameras again when they end.
        max_frames: Frames per camera; None: all.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        cameras: Mapping[str, Camera],
        producer: BusProducer,
        metrics: ProducerMetrics,
        loop: bool = False,
        max_frames: int | None = None,
    ) -> None:
        limits = settings.producer
        self._drain_timeout_s = limits.drain_timeout_s
        self._metrics = metrics
        self._buffer = FrameBuffer(limits.max_buffer_frames, limits.max_buffer_bytes)
        self._tally = Tally(cameras, metrics)
        self._publisher = Publisher(producer, settings.topics.frames, self._buffer, self._tally)
        self._stop_cameras = threading.Event()
        self._readers = [
            CameraReader(
                camera_id,
                camera,
                accept=self._accept,
                stop=self._stop_cameras,
                loop=loop,
                max_frames=max_frames,
            )
            for camera_id, camera in cameras.items()
        ]
        self._silent: set[str] = set()

        metrics.buffer_frames.set_function(self._buffer.__len__)
        metrics.buffer_bytes.set_function(lambda: self._buffer.bytes)
        metrics.undelivered_frames.set_function(self._publisher.__len__)

    @property
    def stalled_s(self) -> float:
        """Seconds that the broker has kept frames waiting without a word."""
        return self._publisher.stalled_s

    def run(self, stop: threading.Event) -> Summary:
        """Publishes until every camera has ended or `stop` is set, then delivers what is buffered.

        Raises:
            CameraError: Every camera failed.
            TransportError: The bus failed for good.
        """
        try:
            if not stop.is_set():
                for reader in self._readers:
                    reader.start()
            while not stop.is_set() and self._cameras_run():
                self._publisher.step()
                self._watch_cameras()
            self._stop_cameras.set()
            self._drain()
            self._watch_cameras()
        finally:
            self._stop_cameras.set()
            self._publisher.close()
            self._tally.log_drops()
        self._raise_if_all_failed()
        return self._tally.summary()

    def _accept(self, frame: EncodedFrame) -> None:
        self._metrics.last_frame.labels(self._metrics.camera(frame.camera_id)).set(
            frame.captured_at.timestamp()
        )
        for dropped in self._buffer.put(frame):
            self._tally.dropped(dropped, "buffer_full", "the broker does not take frames fast enough")

    def _cameras_run(self) -> bool:
        return any(reader.running for reader in self._readers)

    def _watch_cameras(self) -> None:
        for reader in self._readers:
            if reader.failure is not None and not isinstance(reader.failure, CameraError):
                raise reader.failure
            if reader.overdue_s < _SILENCE_S:
                self._silent.discard(reader.camera_id)
            elif reader.camera_id not in self._silent:
                self._silent.add(reader.camera_id)
                log.warning("camera gives no pictures", camera=reader.camera_id, for_s=_SILENCE_S)

    def _drain(self) -> None:
        stopped_s = time.monotonic()
        while (elapsed_s := time.monotonic() - stopped_s) < self._drain_timeout_s:
            cameras_end = self._cameras_run() and elapsed_s < _CAMERA_PATIENCE_S
            if not (cameras_end or self._buffer or self._publisher):
                return
            self._publisher.step()

    def _raise_if_all_failed(self) -> None:
        failures = [
            f"{reader.camera_id}: {reader.failure}" for reader in self._readers if reader.failure is not None
        ]
        if len(failures) == len(self._readers):
            raise CameraError("every camera failed:\n  " + "\n  ".join(failures))

"""The way a frame takes: camera -> encode -> buffer -> publish -> acknowledged.

Each camera reads on threads of its own; the thread that calls `run` publishes for all of them.
"""

import threading
import time
from collections.abc import Callable, Sequence

from framebus.bus import BusProducer
from framebus.errors import SettingsError
from framebus.frames import EncodedFrame
from framebus.logs import get_logger
from framebus.settings import Settings
from producer.buffer import FrameBuffer
from producer.camera_reader import CameraReader
from producer.camera_set import CameraSet
from producer.camera_spec import CameraSpec
from producer.cameras import create_camera
from producer.cameras.camera import Camera
from producer.encoder import Encoder
from producer.metrics import ProducerMetrics
from producer.publisher import Publisher
from producer.tally import Summary, Tally

# How long a stop waits for cameras to close their sources; one that hangs does not.
_CAMERA_PATIENCE_S = 2.0

log = get_logger("producer")

Create = Callable[[CameraSpec, Settings], Camera]
"""Makes a camera of its description; opens nothing."""

Reread = Callable[[], Sequence[CameraSpec] | None]
"""Returns all cameras anew if somebody asked for that, else None; raises SettingsError if they are wrong."""


class Pipeline:
    """One producer's cameras and their way to the bus.

    Args:
        settings: All settings.
        cameras: What to read.
        producer: Owned by the thread that calls `run`.
        metrics: Where everything is counted.
        max_frames: Frames per camera; None: all.
        reread: Asked again and again whether there are other cameras now.
        create: Makes a camera of its description.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        cameras: Sequence[CameraSpec],
        producer: BusProducer,
        metrics: ProducerMetrics,
        max_frames: int | None = None,
        reread: Reread = lambda: None,
        create: Create = create_camera,
    ) -> None:
        self._settings = settings
        self._specs = cameras
        self._metrics = metrics
        self._max_frames = max_frames
        self._reread = reread
        self._create = create
        limits = settings.producer
        self._buffer = FrameBuffer(limits.max_buffer_frames, limits.max_buffer_bytes)
        self._tally = Tally(metrics)
        self._tally.expect(camera.id for camera in cameras)
        self._publisher = Publisher(producer, settings.topics.frames, self._buffer, self._tally)
        self._cameras = CameraSet(self._reader)

        metrics.buffer_frames.set_function(self._buffer.__len__)
        metrics.buffer_bytes.set_function(lambda: self._buffer.bytes)
        metrics.undelivered_frames.set_function(self._publisher.__len__)
        metrics.watch(self._cameras)

    @property
    def stalled_s(self) -> float:
        """Seconds that the broker has kept frames waiting without taking any."""
        return self._publisher.stalled_s

    @property
    def hangs(self) -> bool:
        """Whether a camera's source is open still; after `run`, that of a camera which hangs."""
        return self._cameras.open

    def run(self, stop: threading.Event) -> Summary:
        """Publishes until every camera has ended or `stop` is set, then delivers what is buffered.

        Raises:
            TransportError: The bus failed for good.
        """
        try:
            if not stop.is_set():
                self._cameras.replace(self._specs)
            while not stop.is_set() and self._cameras.running:
                self._publisher.step()
                self._cameras.watch()
                self._replace_cameras()
            self._cameras.stop()
            self._drain()
            self._cameras.watch()
        finally:
            self._cameras.stop()
            self._publisher.close()
            self._tally.log_losses()
        return self._tally.summary(self._cameras.failures)

    def _replace_cameras(self) -> None:
        try:
            cameras = self._reread()
        except SettingsError as error:
            log.error("the cameras stay as they are", error=str(error))
            return
        if cameras is not None:
            self._tally.expect(camera.id for camera in cameras)
            self._cameras.replace(cameras)

    def _reader(self, camera: CameraSpec) -> CameraReader:
        limits = self._settings.producer
        return CameraReader(
            camera,
            self._create(camera, self._settings),
            encoder=Encoder(
                jpeg_quality=camera.jpeg_quality or limits.jpeg_quality,
                fit=camera.resize,
                max_pixels=self._settings.consumer.max_frame_pixels,
            ),
            accept=self._accept,
            skipped=self._tally.skipped,
            max_frames=self._max_frames,
            max_reconnect_delay_s=limits.max_reconnect_delay_s,
        )

    def _accept(self, frame: EncodedFrame) -> None:
        self._metrics.last_frame.labels(self._metrics.camera(frame.camera_id)).set(
            frame.captured_at.timestamp()
        )
        for dropped in self._buffer.put(frame):
            self._tally.dropped(dropped, "buffer_full", "the broker does not take frames fast enough")

    def _drain(self) -> None:
        stopped_s = time.monotonic()
        while (elapsed_s := time.monotonic() - stopped_s) < self._settings.producer.drain_timeout_s:
            cameras_close = self._cameras.open and elapsed_s < _CAMERA_PATIENCE_S
            if not (cameras_close or self._buffer or self._publisher):
                return
            self._publisher.step()

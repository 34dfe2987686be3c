"""The producer's metrics, by the names that dashboards and alerts use."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from framebus.metrics import LATENCY_BUCKETS_S, CameraLabels
from producer.camera_reader import CameraReader


class ProducerMetrics:
    """Counters, gauges and histograms of one producer process."""

    def __init__(self, registry: CollectorRegistry, max_cameras: int) -> None:
        self.camera = CameraLabels(max_cameras)
        self._registry = registry
        self.published_frames = Counter(
            "framebus_published_frames_total",
            "Frames that the broker acknowledged",
            ["camera"],
            registry=registry,
        )
        self.published_bytes = Counter(
            "framebus_published_bytes_total",
            "Encoded pictures that the broker acknowledged",
            ["camera"],
            registry=registry,
        )
        self.dropped = Counter(
            "framebus_unpublished_frames_total",
            "Frames read from a camera that were not published",
            ["camera", "reason"],
            registry=registry,
        )
        self.skipped = Counter(
            "framebus_skipped_pictures_total",
            "Pictures of a camera that became no frame: beyond its rate, not taken in time, or no pictures",
            ["camera", "reason"],
            registry=registry,
        )
        self.publish = Histogram(
            "framebus_publish_seconds",
            "From reading a frame to the broker's acknowledgement",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.last_frame = Gauge(
            "framebus_last_frame_timestamp_seconds",
            "When the camera gave its newest frame, in seconds since 1970",
            ["camera"],
            registry=registry,
        )
        self.buffer_frames = Gauge(
            "framebus_buffer_frames", "Frames waiting to be handed to the Kafka client", registry=registry
        )
        self.buffer_bytes = Gauge(
            "framebus_buffer_bytes", "Memory of the frames in the buffer", registry=registry
        )
        self.undelivered_frames = Gauge(
            "framebus_undelivered_frames",
            "Frames handed to the Kafka client and not acknowledged yet",
            registry=registry,
        )

        self.broker_up = Gauge(
            "framebus_broker_up", "1 while a broker can be reached, else 0", registry=registry
        )

    def watch(self, cameras: Iterable[CameraReader]) -> None:
        """Adds what the cameras are like at the moment of a scrape."""
        self._registry.register(CameraStates(cameras, self.camera))


class CameraStates(Collector):
    """Asks the cameras themselves, so that silence grows by itself and a removed camera leaves no series.

    Cameras that share the label `other` show the worst of them.
    """

    def __init__(self, cameras: Iterable[CameraReader], label: CameraLabels) -> None:
        self._cameras = cameras
        self._label = label

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics of all cameras that have not come to their end."""
        cameras: defaultdict[str, list[CameraReader]] = defaultdict(list)
        for camera in self._cameras:
            if camera.running or camera.failure is not None:
                cameras[self._label(camera.spec.id)].append(camera)
        connected = GaugeMetricFamily(
            "framebus_camera_connected", "1 while the camera is there, else 0", labels=["camera"]
        )
        reconnects = CounterMetricFamily(
            "framebus_camera_reconnects_total",
            "How often a camera came back after it was lost",
            labels=["camera"],
        )
        silence = GaugeMetricFamily(
            "framebus_camera_silence_seconds",
            "Time since the camera's last picture that became a frame",
            labels=["camera"],
        )
        for label, group in cameras.items():
            connected.add_metric([label], min(camera.connected for camera in group))
            reconnects.add_metric([label], sum(camera.reconnects for camera in group))
            silence.add_metric([label], max(camera.silence_s for camera in group))
        yield from (connected, reconnects, silence)

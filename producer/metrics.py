"""The producer's metrics, by the names that dashboards and alerts use."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from framebus.metrics import LATENCY_BUCKETS_S, CameraLabels


class ProducerMetrics:
    """Counters, gauges and histograms of one producer process."""

    def __init__(self, registry: CollectorRegistry, max_cameras: int) -> None:
        self.camera = CameraLabels(max_cameras)
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
            "framebus_dropped_frames_total",
            "Frames read from a camera that were not published",
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

"""The consumer's metrics, by the names that dashboards and alerts use."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from framebus.metrics import LATENCY_BUCKETS_S, STAGE_BUCKETS_S, CameraLabels


class ConsumerMetrics:
    """Counters, gauges and histograms of one consumer process."""

    def __init__(self, registry: CollectorRegistry, max_cameras: int) -> None:
        self.camera = CameraLabels(max_cameras)
        self.frames = Counter(
            "framebus_frames_total",
            "Frames whose detections the broker acknowledged",
            ["camera", "model"],
            registry=registry,
        )
        self.detections = Counter(
            "framebus_detections_total", "Objects published", ["camera", "model"], registry=registry
        )
        self.dropped = Counter(
            "framebus_dropped_frames_total",
            "Frames left out on purpose, as their route says",
            ["camera", "model", "reason"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "framebus_dead_letters_total",
            "Frames sent to the dead letters",
            ["camera", "model", "reason"],
            registry=registry,
        )
        self.future_frames = Counter(
            "framebus_future_frames_total",
            "Frames whose camera clock is ahead of ours",
            ["camera"],
            registry=registry,
        )
        self.batch_size = Histogram(
            "framebus_batch_size_frames",
            "Frames per engine call",
            ["model"],
            buckets=(1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64),
            registry=registry,
        )
        self.batch_wait = Histogram(
            "framebus_batch_wait_seconds",
            "From decoded to the start of the engine call",
            ["model"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self.decode = Histogram(
            "framebus_decode_seconds", "Decoding one picture", buckets=STAGE_BUCKETS_S, registry=registry
        )
        self.inference = Histogram(
            "framebus_inference_seconds",
            "One engine call",
            ["model"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self.end_to_end = Histogram(
            "framebus_end_to_end_seconds",
            "From capture to acknowledged publish",
            ["model"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.queued_frames = Gauge(
            "framebus_queue_frames", "Frames waiting in a stage", ["model", "queue"], registry=registry
        )
        self.in_flight_frames = Gauge(
            "framebus_in_flight_frames", "Frames read and not yet acknowledged", ["model"], registry=registry
        )
        self.in_flight_bytes = Gauge(
            "framebus_in_flight_bytes", "Memory of frames in flight", ["model", "form"], registry=registry
        )
        self.lag = Gauge(
            "framebus_partition_lag_frames",
            "Frames on the bus that are not finished yet",
            ["model", "topic", "partition"],
            registry=registry,
        )

"""The consumer's metrics, by the names that dashboards and alerts use."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumer.cameras import CameraRates
from consumer.engines.engine import EngineReport
from framebus.metrics import LATENCY_BUCKETS_S, STAGE_BUCKETS_S, CameraLabels


class ConsumerMetrics:
    """Counters, gauges and histograms of one consumer process."""

    def __init__(self, registry: CollectorRegistry, max_cameras: int) -> None:
        self.camera = CameraLabels(max_cameras)
        self.rates = CameraRates()
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
        self.assigned_partitions = Gauge(
            "framebus_assigned_partitions",
            "Partitions that the group gave this consumer",
            ["model"],
            registry=registry,
        )
        self.broker_up = Gauge(
            "framebus_broker_up", "1 while a broker can be reached, else 0", registry=registry
        )
        self.predictions = Counter(
            "framebus_predictions_total",
            "One-off predictions, by how they ended",
            ["model", "outcome"],
            registry=registry,
        )
        self.model_loaded = Gauge(
            "framebus_model_loaded", "1 while a model is loaded, else 0", ["model"], registry=registry
        )
        self.model_failed = Gauge(
            "framebus_model_failed",
            "1 while a model's last load has failed, also where an earlier version is in force, else 0",
            ["model"],
            registry=registry,
        )
        self.config_refused = Gauge(
            "framebus_model_config_refused",
            "1 while a model's config.json is wrong and an earlier one is in force, else 0",
            ["model"],
            registry=registry,
        )
        self.engine_fallback = Gauge(
            "framebus_engine_fallback",
            "1 while a model runs on another engine than was asked for, or not on all of it, else 0",
            ["model"],
            registry=registry,
        )
        self.engine_info = Gauge(
            "framebus_engine_info",
            "1 for the engine that runs a model, and what it computes in",
            ["model", "engine", "precision"],
            registry=registry,
        )
        self._engines: dict[str, tuple[str, str]] = {}

    def tell_engine(self, model: str, report: EngineReport | None) -> None:
        """Says what runs a model from now on; None: nothing does."""
        before = self._engines.pop(model, None)
        if report is not None:
            self._engines[model] = now = (report.engine, report.precision)
            self.engine_info.labels(model, *now).set(1)
        if before is not None and before != self._engines.get(model):
            self.engine_info.remove(model, *before)
        self.engine_fallback.labels(model).set(report is not None and report.fallback is not None)

    def tell_unloaded(self, model: str) -> None:
        """Says that a model is here no more, so that nothing is wrong with it either."""
        for gauge in (self.model_loaded, self.model_failed, self.config_refused):
            gauge.labels(model).set(0)
        self.tell_engine(model, None)

    def lag_frames(self, model: str) -> int | None:
        """Frames on the bus that a model has not finished, of all its partitions; None if it has none."""
        lags = [
            sample.value
            for metric in self.lag.collect()
            for sample in metric.samples
            if sample.labels["model"] == model
        ]
        return round(sum(lags)) if lags else None

"""The control API's metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from framebus.metrics import LATENCY_BUCKETS_S


class ApiMetrics:
    """What is measured of requests; endpoints go by their template, so that nobody can flood the labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "framebus_api_requests_total",
            "Requests answered",
            ["endpoint", "method", "status"],
            registry=registry,
        )
        self.latency = Histogram(
            "framebus_api_request_seconds",
            "From a request's first byte to the last of its answer",
            ["endpoint", "method"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.in_flight = Gauge(
            "framebus_api_requests_in_flight",
            "Requests that are being answered",
            ["endpoint"],
            registry=registry,
        )
        self.retries = Counter(
            "framebus_api_prediction_retries_total",
            "Pictures that a worker did not take, and another one was asked",
            ["reason"],
            registry=registry,
        )
        self.workers = Gauge("framebus_api_workers", "Workers that live", registry=registry)

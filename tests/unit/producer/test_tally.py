from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from framebus.frames import EncodedFrame
from producer.metrics import ProducerMetrics
from producer.tally import Tally


def frame(camera_id: str) -> EncodedFrame:
    return EncodedFrame(camera_id, "id", datetime.now(UTC) - timedelta(seconds=3), bytes(100))


def test_the_summary_counts_per_camera_and_names_the_idle_ones(metrics: ProducerMetrics) -> None:
    tally = Tally(metrics)
    tally.expect(["yard", "roof", "gate"])
    for camera_id in ("gate", "gate", "yard"):
        tally.published(frame(camera_id))
    tally.dropped(frame("yard"), "buffer_full", "why")
    tally.skipped("yard", "rate_limited")
    tally.skipped("yard", "undecodable", "why")

    summary = tally.summary({"roof": "no such file"})

    assert summary.as_json() == {
        "published": 3,
        "dropped": 1,
        "skipped": 2,
        "cameras": {
            "gate": {"published": 2, "dropped": 0, "skipped": 0, "failure": None},
            "roof": {"published": 0, "dropped": 0, "skipped": 0, "failure": "no such file"},
            "yard": {"published": 1, "dropped": 1, "skipped": 2, "failure": None},
        },
    }
    assert summary.failures == {"roof": "no such file"}


def test_the_metrics_say_the_same(metrics: ProducerMetrics, registry: CollectorRegistry) -> None:
    tally = Tally(metrics)
    tally.published(frame("gate"))
    tally.dropped(frame("gate"), "too_large", "why")
    tally.skipped("gate", "rate_limited")

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("framebus_published_frames_total", camera="gate") == 1
    assert value("framebus_published_bytes_total", camera="gate") == 100
    assert value("framebus_unpublished_frames_total", camera="gate", reason="too_large") == 1
    assert value("framebus_skipped_pictures_total", camera="gate", reason="rate_limited") == 1
    assert value("framebus_publish_seconds_bucket", le="2.0") == 0
    assert value("framebus_publish_seconds_bucket", le="5.0") == 1


def test_the_log_tells_of_losses_at_once_and_then_once_in_a_while(metrics: ProducerMetrics) -> None:
    seconds = iter(range(0, 600, 6))
    tally = Tally(metrics, clock=lambda: next(seconds))

    with capture_logs() as lines:
        for _ in range(25):
            tally.dropped(frame("gate"), "buffer_full", "why")
        tally.dropped(frame("yard"), "buffer_full", "why")
        tally.dropped(frame("gate"), "too_large", "why")
        for _ in range(3):
            tally.skipped("gate", "undecodable", "why")
            tally.skipped("gate", "rate_limited")
        tally.log_losses()

    assert [(line["camera"], line["reason"], line["count"]) for line in lines] == [
        ("gate", "buffer_full", 1),
        ("gate", "buffer_full", 10),
        ("gate", "buffer_full", 10),
        ("yard", "buffer_full", 1),
        ("gate", "too_large", 1),
        ("gate", "undecodable", 1),
        ("gate", "buffer_full", 4),
        ("gate", "undecodable", 2),
    ]

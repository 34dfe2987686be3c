import pytest

from framebus.bus import TopicSpec
from framebus.settings import TopicSettings
from framebus.topics import control_topic_specs, detections_topic, is_for_frames, topic_specs

SETTINGS = TopicSettings(
    frames="pictures",
    dead="pictures.dead",
    partitions=6,
    replication_factor=3,
    max_message_bytes=2_000_000,
    frames_retention_ms=1_000,
    frames_retention_bytes=2_000,
    detections_retention_ms=3_000,
    dead_retention_ms=4_000,
)


def test_detections_of_a_model_have_a_topic_of_their_own() -> None:
    assert detections_topic("ssd_v2.1") == "detections.ssd_v2.1"


def test_an_installation_has_topics_for_frames_dead_letters_and_detections() -> None:
    assert topic_specs(SETTINGS, "ssd") == [
        TopicSpec(
            "pictures",
            6,
            3,
            {
                "max.message.bytes": "2000000",
                "retention.ms": "1000",
                "retention.bytes": "2000",
                "segment.ms": "60000",
                "segment.bytes": "268435456",
            },
        ),
        TopicSpec(
            "pictures.dead",
            6,
            3,
            {"max.message.bytes": "2000000", "retention.ms": "4000", "segment.ms": "60000"},
        ),
        TopicSpec("detections.ssd", 6, 3, {"retention.ms": "3000", "segment.ms": "60000"}),
    ]


def test_every_model_and_every_topic_of_frames_has_its_topic() -> None:
    specs = {spec.name: spec for spec in topic_specs(SETTINGS, "ssd", "coco", frames=["day", "night"])}

    assert list(specs) == ["day", "night", "pictures.dead", "detections.ssd", "detections.coco"]
    assert specs["night"].config["retention.bytes"] == "2000"


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("pictures", True), ("pictures.dead", False), ("detections.ssd", False), ("__consumer_offsets", False)],
)
def test_what_framebus_and_kafka_publish_is_no_frame(topic: str, expected: bool) -> None:
    assert is_for_frames(topic, SETTINGS) is expected


@pytest.mark.parametrize(
    ("retention_ms", "segment_ms"),
    [(60 * 60_000, 10 * 60_000), (1_000, 60_000), (-1, 7 * 24 * 60 * 60_000)],
)
def test_records_are_gone_soon_after_their_time(retention_ms: int, segment_ms: int) -> None:
    settings = TopicSettings(
        frames_retention_ms=retention_ms,
        dead_retention_ms=retention_ms,
        detections_retention_ms=retention_ms,
    )

    for spec in topic_specs(settings, "ssd"):
        assert spec.config["retention.ms"] == str(retention_ms)
        assert spec.config["segment.ms"] == str(segment_ms)


def test_control_has_two_topics_of_one_partition() -> None:
    settings = TopicSettings(commands="cmd", workers="wrk", partitions=6, replication_factor=3)

    commands, workers = control_topic_specs(settings)

    assert (commands.name, workers.name) == ("cmd", "wrk")
    assert (commands.partitions, workers.partitions) == (1, 1), "what is said of a model has one order"
    assert (commands.replication_factor, workers.replication_factor) == (3, 3)


def test_the_last_command_of_each_key_is_kept_for_ever_and_beats_for_minutes() -> None:
    commands, workers = control_topic_specs(SETTINGS)

    assert commands.config == {"cleanup.policy": "compact"}
    assert 60_000 <= int(workers.config["retention.ms"]) <= 60 * 60_000
    # Brokers delete whole segments only, and never the one that is written.
    assert int(workers.config["segment.ms"]) <= int(workers.config["retention.ms"])


@pytest.mark.parametrize("topic", ["cmd", "wrk", "framebus.commands", "framebus.workers", "framebus.later"])
def test_no_frame_stands_on_a_topic_of_control(topic: str) -> None:
    settings = TopicSettings(frames="pictures", commands="cmd", workers="wrk")

    assert not is_for_frames(topic, settings)

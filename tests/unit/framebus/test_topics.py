import pytest

from framebus.bus import TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.errors import TransportError
from framebus.settings import TopicSettings
from framebus.topics import detections_topic, ensure_consumer_topics, topic_specs

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


def frames_topic(partitions: int) -> TopicSpec:
    return TopicSpec("pictures", partitions, 1, {})


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
        TopicSpec("pictures.dead", 6, 3, {"max.message.bytes": "2000000", "retention.ms": "4000"}),
        TopicSpec("detections.ssd", 6, 3, {"retention.ms": "3000"}),
    ]


def test_a_consumer_creates_what_it_publishes_to_with_the_partitions_of_the_frames() -> None:
    bus = MemoryBus()
    bus.create_topics([frames_topic(partitions=4)])

    ensure_consumer_topics(bus, SETTINGS, "ssd")

    assert bus.partition_counts() == {"pictures": 4, "pictures.dead": 4, "detections.ssd": 4}


def test_topics_that_exist_stay_as_they_are() -> None:
    bus = MemoryBus()
    bus.create_topics([frames_topic(partitions=4), TopicSpec("detections.ssd", 2, 1, {})])

    ensure_consumer_topics(bus, SETTINGS, "ssd")
    ensure_consumer_topics(bus, SETTINGS, "ssd")

    assert bus.partition_counts() == {"pictures": 4, "pictures.dead": 4, "detections.ssd": 2}


def test_without_the_frames_topic_nothing_is_created_and_the_remedy_is_told() -> None:
    bus = MemoryBus()

    with pytest.raises(TransportError, match=r"topic pictures does not exist; .*`framebus topics create`"):
        ensure_consumer_topics(bus, SETTINGS, "ssd")

    assert bus.partition_counts() == {}


@pytest.mark.parametrize(
    ("retention_ms", "segment_ms"),
    [(60 * 60_000, 10 * 60_000), (1_000, 60_000), (-1, 7 * 24 * 60 * 60_000)],
)
def test_pictures_are_gone_soon_after_their_time(retention_ms: int, segment_ms: int) -> None:
    [frames, *_] = topic_specs(TopicSettings(frames_retention_ms=retention_ms), "ssd")

    assert frames.config["segment.ms"] == str(segment_ms)

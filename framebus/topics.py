"""Topic names, and what the topics are like when framebus creates them."""

from dataclasses import replace

from framebus.bus import BusAdmin, TopicSpec
from framebus.errors import TransportError
from framebus.settings import TopicSettings

_FRAMES_SEGMENT_BYTES = 256 * 2**20
_SHORTEST_SEGMENT_MS = 60_000
_LONGEST_SEGMENT_MS = 7 * 24 * 60 * 60_000


def detections_topic(model_name: str) -> str:
    """Where a model's detections are published."""
    return f"detections.{model_name}"


def topic_specs(settings: TopicSettings, model_name: str) -> list[TopicSpec]:
    """The topics of an installation: frames, dead letters, and the detections of the model.

    Detections have as many partitions as frames, so that a camera's order survives any number of readers.
    """
    size = {"max.message.bytes": str(settings.max_message_bytes)}
    retained = {
        settings.frames: {
            **size,
            "retention.ms": str(settings.frames_retention_ms),
            "retention.bytes": str(settings.frames_retention_bytes),
            # Kafka deletes whole segments, and by default starts one per week or gigabyte: a quiet camera's
            # pictures would stay long after their time.
            "segment.ms": str(_segment_ms(settings.frames_retention_ms)),
            "segment.bytes": str(_FRAMES_SEGMENT_BYTES),
        },
        settings.dead: {**size, "retention.ms": str(settings.dead_retention_ms)},
        detections_topic(model_name): {"retention.ms": str(settings.detections_retention_ms)},
    }
    return [
        TopicSpec(name, settings.partitions, settings.replication_factor, config)
        for name, config in retained.items()
    ]


def _segment_ms(retention_ms: int) -> int:
    if retention_ms < 0:
        return _LONGEST_SEGMENT_MS
    return min(max(retention_ms // 6, _SHORTEST_SEGMENT_MS), _LONGEST_SEGMENT_MS)


def ensure_consumer_topics(admin: BusAdmin, settings: TopicSettings, model_name: str) -> list[str]:
    """Creates what a consumer publishes to and is missing; the frames topic must be there already.

    Detections get as many partitions as the frames have.

    Returns:
        The names of the topics created.

    Raises:
        TransportError: The frames topic is missing, or a topic could not be created.
    """
    partitions = admin.partition_counts().get(settings.frames)
    if partitions is None:
        raise TransportError(
            f"topic {settings.frames} does not exist; create it with `framebus topics create`"
        )
    return admin.create_topics(
        [
            replace(topic, partitions=partitions)
            for topic in topic_specs(settings, model_name)
            if topic.name != settings.frames
        ]
    )

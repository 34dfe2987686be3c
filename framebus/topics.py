"""Topic names, and what the topics are like when framebus creates them."""

from collections.abc import Sequence

from framebus.bus import TopicSpec
from framebus.settings import TopicSettings

_FRAMES_SEGMENT_BYTES = 256 * 2**20
_SHORTEST_SEGMENT_MS = 60_000
_LONGEST_SEGMENT_MS = 7 * 24 * 60 * 60_000
# Nobody reads an old beat; brokers delete whole segments.
_BEATS_RETENTION_MS = 10 * 60_000


def detections_topic(model_name: str) -> str:
    """Where a model's detections are published."""
    return f"detections.{model_name}"


def is_for_frames(topic: str, settings: TopicSettings) -> bool:
    """Whether frames may stand on a topic; not on those for what framebus and Kafka themselves publish."""
    own = (settings.dead, settings.commands, settings.workers)
    return topic not in own and not topic.startswith(("detections.", "framebus.", "__"))


def topic_specs(
    settings: TopicSettings, *models: str, frames: Sequence[str] | None = None
) -> list[TopicSpec]:
    """The topics of an installation: frames, dead letters, and the detections of each model.

    Detections have as many partitions as frames, so that a camera's order survives any number of readers.

    Args:
        settings: Their names and what they are like.
        *models: Names of the models.
        frames: Topics of frames; by default the one that producers publish to.
    """
    size = {"max.message.bytes": str(settings.max_message_bytes)}
    of_frames = {
        **size,
        "retention.ms": str(settings.frames_retention_ms),
        "retention.bytes": str(settings.frames_retention_bytes),
        # Kafka deletes whole segments, and by default starts one per week or gigabyte: a quiet camera's
        # pictures would stay long after their time.
        "segment.ms": str(_segment_ms(settings.frames_retention_ms)),
        "segment.bytes": str(_FRAMES_SEGMENT_BYTES),
    }
    of_detections = {"retention.ms": str(settings.detections_retention_ms)}
    retained = {
        **dict.fromkeys(frames if frames is not None else [settings.frames], of_frames),
        settings.dead: {**size, "retention.ms": str(settings.dead_retention_ms)},
        **dict.fromkeys(map(detections_topic, models), of_detections),
    }
    return [
        TopicSpec(name, settings.partitions, settings.replication_factor, config)
        for name, config in retained.items()
    ]


def control_topic_specs(settings: TopicSettings) -> list[TopicSpec]:
    """The topics of control: one partition each, for what is said of a model has one order."""
    configs = {
        settings.commands: {"cleanup.policy": "compact"},
        settings.workers: {
            "retention.ms": str(_BEATS_RETENTION_MS),
            "segment.ms": str(_segment_ms(_BEATS_RETENTION_MS)),
        },
    }
    return [TopicSpec(name, 1, settings.replication_factor, config) for name, config in configs.items()]


def _segment_ms(retention_ms: int) -> int:
    if retention_ms < 0:
        return _LONGEST_SEGMENT_MS
    return min(max(retention_ms // 6, _SHORTEST_SEGMENT_MS), _LONGEST_SEGMENT_MS)

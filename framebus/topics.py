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
        **_kept(settings.frames_retention_ms),
        "retention.bytes": str(settings.frames_retention_bytes),
        "segment.bytes": str(_FRAMES_SEGMENT_BYTES),
    }
    of_detections = _kept(settings.detections_retention_ms)
    retained = {
        **dict.fromkeys(frames if frames is not None else [settings.frames], of_frames),
        settings.dead: {**size, **_kept(settings.dead_retention_ms)},
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
        settings.workers: _kept(_BEATS_RETENTION_MS),
    }
    return [TopicSpec(name, 1, settings.replication_factor, config) for name, config in configs.items()]


def _kept(retention_ms: int) -> dict[str, str]:
    """How long records are kept; -1: for ever.

    Kafka deletes whole segments, and by default starts one per week or gigabyte: what a quiet camera
    published would stay long after its time.
    """
    segment_ms = _LONGEST_SEGMENT_MS if retention_ms < 0 else max(retention_ms // 6, _SHORTEST_SEGMENT_MS)
    return {"retention.ms": str(retention_ms), "segment.ms": str(min(segment_ms, _LONGEST_SEGMENT_MS))}

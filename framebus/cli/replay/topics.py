"""Which topics a replay reads and publishes on, and which it must not."""

from collections.abc import Sequence

import typer

from framebus.bus.kafka import KafkaAdmin
from framebus.errors import TopicMissingError, TransportError
from framebus.routes import load_routes
from framebus.settings import Settings
from framebus.topics import detections_topic, is_for_frames

_SHOWN_TOPICS = 20


def source_topics(settings: Settings, topics: Sequence[str], models: Sequence[str]) -> list[str]:
    """The topics to read.

    Raises:
        BadParameter: One is no topic of frames.
    """
    if models:
        return list(dict.fromkeys(map(detections_topic, models)))
    for name in topics:
        if name == settings.topics.dead:
            raise typer.BadParameter(
                f"{name} has dead letters; `framebus dead replay` sends them round again",
                param_hint="--topic",
            )
        if name.startswith("detections."):
            raise typer.BadParameter(
                f"{name} has detections; write --model {name.removeprefix('detections.')}",
                param_hint="--topic",
            )
        if not is_for_frames(name, settings.topics):
            raise typer.BadParameter(f"{name} is no topic of frames", param_hint="--topic")
    return list(dict.fromkeys(topics or [settings.topics.frames]))


def check_target(
    settings: Settings, sources: Sequence[str], target: str, *, of_frames: bool, same_topic: bool
) -> None:
    """Refuses a topic on which what is replayed may not stand.

    Raises:
        BadParameter: Says why not.
    """
    if target in sources and not same_topic:
        raise typer.BadParameter(
            f"{target} is what is read, and would have everything twice; if you want that, give --same-topic",
            param_hint="--to-topic",
        )
    if of_frames:
        if not is_for_frames(target, settings.topics):
            raise typer.BadParameter(
                f"{target} is no topic of frames; framebus or Kafka publishes there", param_hint="--to-topic"
            )
    elif not target.startswith("detections."):
        if not is_for_frames(target, settings.topics):
            raise typer.BadParameter(
                f"{target} is no topic of detections; framebus or Kafka publishes there",
                param_hint="--to-topic",
            )
        if target == settings.topics.frames or load_routes(settings).match(target) is not None:
            raise typer.BadParameter(
                f"{target} is a topic of frames, on which detections would become dead letters",
                param_hint="--to-topic",
            )


def partition_counts(settings: Settings, sources: Sequence[str], target: str | None) -> dict[str, int]:
    """The number of partitions of each topic to read.

    Raises:
        TransportError: No broker answers, or a topic is missing.
    """
    existing = KafkaAdmin(settings.kafka).partition_counts()
    for name in sources:
        if name not in existing:
            is_detections = name.startswith("detections.")
            there = sorted(one for one in existing if _is_alike(one, is_detections, settings))
            more = ", ..." if len(there) > _SHOWN_TOPICS else ""
            raise TransportError(
                f"topic {name} does not exist, or this user may not see it; there are: "
                f"{', '.join(there[:_SHOWN_TOPICS]) or 'none'}{more}"
            )
    if target is not None and target not in existing:
        raise TopicMissingError(target)
    return {name: existing[name] for name in sources}


def _is_alike(topic: str, is_detections: bool, settings: Settings) -> bool:
    return topic.startswith("detections.") if is_detections else is_for_frames(topic, settings.topics)

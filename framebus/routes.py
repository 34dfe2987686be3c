"""Routes: which topic feeds which models, and how fresh its frames have to be."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from framebus.bus import BusAdmin
from framebus.errors import SettingsError, TopicMissingError
from framebus.settings import ROUTES, KafkaSettings, RouteSettings, Settings, TopicSettings
from framebus.topics import detections_topic, is_for_frames, topic_specs

Route = RouteSettings

DEFAULT_MODEL = "pedestrian"


class Routes:
    """The routes of an installation; of those that match a topic, one that names it wins, then the first.

    Args:
        routes: At least one; no two with the same topic.
        topics: The other topics of the installation, which no regular expression reaches.
    """

    def __init__(self, routes: Sequence[Route], topics: TopicSettings) -> None:
        self._named = {route.topic: route for route in routes if not route.topic.startswith("^")}
        self._patterns = [(re.compile(route.topic), route) for route in routes if route.topic.startswith("^")]
        self._topics = topics
        self._routes = routes

    @property
    def models(self) -> list[str]:
        """Every model that a route names, once."""
        return list(dict.fromkeys(model for route in self._routes for model in route.models))

    @property
    def topics(self) -> list[str]:
        """The topics that routes name, without those that regular expressions may match."""
        return list(self._named)

    def match(self, topic: str) -> Route | None:
        """The route of a topic, if there is one."""
        if topic in self._named:
            return self._named[topic]
        if not is_for_frames(topic, self._topics):
            return None
        return next((route for pattern, route in self._patterns if pattern.fullmatch(topic)), None)

    def topics_of(self, model: str, existing: Iterable[str]) -> list[str]:
        """The topics whose frames go through a model: those named, and those there are that match, sorted."""
        candidates = {*self._named, *existing}
        return sorted(topic for topic in candidates if (route := self.match(topic)) and model in route.models)


def given_routes(model: str | None, file: Path | None) -> dict[str, Any]:
    """What `--model` and `--routes` say, as overrides for `load_settings`."""
    overrides: dict[str, Any] = {} if model is None else {"consumer": {"model": model}}
    return overrides if file is None else {**overrides, "routes_file": file}


def load_routes(settings: Settings) -> Routes:
    """The routes that the settings give; without any, all frames go through the consumer's one model.

    Raises:
        SettingsError: They are given twice, contradict each other, or their file is wrong.
    """
    given = {
        "FRAMEBUS_ROUTES": settings.routes,
        "FRAMEBUS_ROUTES_FILE (--routes)": settings.routes_file,
        "FRAMEBUS_CONSUMER__MODEL (--model)": settings.consumer.model,
    }
    if len(names := [name for name, value in given.items() if value]) > 1:
        raise SettingsError(
            f"{' and '.join(names)} are given; keep one of them, for routes name their models"
        )
    if settings.routes_file is not None:
        where, routes = str(settings.routes_file), ROUTES.read(settings.routes_file)
    else:
        where = "FRAMEBUS_ROUTES"
        model = settings.consumer.model or DEFAULT_MODEL
        routes = settings.routes or [Route(topic=settings.topics.frames, models=[model])]
    seen: set[str] = set()
    for route in routes:
        if route.topic in seen:
            raise SettingsError(
                f"{where}: topic {route.topic} is there twice; name all its models in one route"
            )
        seen.add(route.topic)
        if not route.topic.startswith("^") and not is_for_frames(route.topic, settings.topics):
            raise SettingsError(f"{where}: topic {route.topic} is one that framebus publishes to, not frames")
    return Routes(routes, settings.topics)


def group_id(settings: KafkaSettings, model: str) -> str:
    """The Kafka group of a model's pipelines: each model has its own position, and none waits for another."""
    return f"{settings.group_id}.{model}"


def ensure_consumer_topics(admin: BusAdmin, routes: Routes, settings: TopicSettings) -> list[str]:
    """Creates what a consumer publishes to and is missing; topics of frames must be there already.

    A model's detections get as many partitions as the widest topic of its frames.

    Returns:
        The names of the topics created.

    Raises:
        TopicMissingError: Topics that routes name are missing.
        TransportError: A topic could not be created.
    """
    partitions = admin.partition_counts()
    if missing := [topic for topic in routes.topics if topic not in partitions]:
        raise TopicMissingError(*missing)
    widths = {
        detections_topic(model): max(
            (partitions[topic] for topic in routes.topics_of(model, partitions)), default=settings.partitions
        )
        for model in routes.models
    }
    widths[settings.dead] = max(widths.values())
    specs = topic_specs(settings, *routes.models, frames=[])
    return admin.create_topics([replace(spec, partitions=widths[spec.name]) for spec in specs])

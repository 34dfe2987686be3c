"""What the endpoints work with: one of each."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from control_api.access import Access
from control_api.desired import Desired
from control_api.follower import Follower
from control_api.live import Live
from control_api.metrics import ApiMetrics
from control_api.model_control import ModelControl
from control_api.model_details import ModelViews
from control_api.models import Models
from control_api.predictions import Predictions
from control_api.worker_clients import WorkerClient
from control_api.workers import Workers
from framebus.bus import Bus
from framebus.settings import Settings
from framebus.topics import control_topic_specs


@dataclass(frozen=True)
class ControlPlane:
    """The parts of a control API."""

    settings: Settings
    registry: CollectorRegistry
    metrics: ApiMetrics
    access: Access
    workers: Workers
    desired: Desired
    models: Models
    views: ModelViews
    control: ModelControl
    predictions: Predictions
    live: Live
    followers: tuple[Follower, ...]
    has_streams: bool

    @property
    def failure(self) -> Exception | None:
        """Why it cannot go on, if it cannot."""
        failures = (one.failure for one in self.followers if one.failure is not None)
        return next(failures, self.live.failure)

    def not_ready(self) -> str | None:
        """Why requests should go to another replica; None if they are welcome."""
        if self.failure is not None:
            return str(self.failure)
        if not all(follower.is_current for follower in self.followers):
            servers = self.settings.kafka.bootstrap_servers
            return f"the topics of control cannot be read; is a broker there at {servers}?"
        if not self.workers.has_listened:
            return "listening for workers"
        return None


def build_plane(settings: Settings, bus: Bus, client: WorkerClient, *, has_streams: bool) -> ControlPlane:
    """Puts the parts together.

    Raises:
        SettingsError: The tokens make no sense.
    """
    registry = CollectorRegistry()
    metrics = ApiMetrics(registry)
    workers = Workers(settings.control.beat_interval_s)
    metrics.workers.set_function(lambda: len(workers.live()))
    desired = Desired(bus, settings.topics.commands)
    models = Models(settings.models_dir, workers)
    topics = {spec.name: spec for spec in control_topic_specs(settings.topics)}
    return ControlPlane(
        settings=settings,
        registry=registry,
        metrics=metrics,
        access=Access(settings.api),
        workers=workers,
        desired=desired,
        models=models,
        views=ModelViews(models, workers, desired),
        control=ModelControl(models, workers, desired, settings.api.load_timeout_s),
        predictions=Predictions(settings.api, workers, metrics, client),
        live=Live(bus, settings),
        followers=(
            Follower(bus, topics[settings.topics.commands], from_start=True, listener=desired),
            Follower(bus, topics[settings.topics.workers], from_start=False, listener=workers),
        ),
        has_streams=has_streams,
    )


async def _plane(request: Request) -> ControlPlane:
    plane: ControlPlane = request.app.state.plane
    return plane


Plane = Annotated[ControlPlane, Depends(_plane)]
"""The parameter by which an endpoint gets it."""

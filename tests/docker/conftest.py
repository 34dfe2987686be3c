"""The images, built once, and the stack, started once."""

import uuid
from collections.abc import Iterator

import pytest

from tests.docker.compose import Compose, has_image, why_no_docker

ADDRESS = "127.0.71.1"


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    """The project, its images built and nothing of it started."""
    if reason := why_no_docker():
        pytest.skip(reason)
    compose = Compose(f"framebus-test-{uuid.uuid4().hex[:8]}", ADDRESS)
    compose.build()
    yield compose
    compose.down()


@pytest.fixture(scope="session")
def stack(compose: Compose) -> Compose:
    """All services run; without Grafana where its image is not to be had, for nothing here needs it."""
    services = ["control-api", "consumer", "producer", "prometheus"]
    if has_image("grafana/grafana:12.2.0"):
        services.append("grafana")
    compose.up(services)
    return compose

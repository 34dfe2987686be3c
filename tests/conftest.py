"""What many tests share: real brokers, one of each kind for the whole run, and the samples."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from framebus.cli.models import fetch_with_progress
from framebus.environment import load_settings
from framebus.local_broker import BrokerKind, LocalBroker, local_broker, ports, why_no_apache
from framebus.model_repository import ModelRepository, StoredModel
from framebus.resources import cache_directory
from framebus.samples import fetch, lacking, read_samples

# Each of the processes that run tests at once picks ports of its own: a broker that a test has stopped is to
# find its port free again.
if "PYTEST_XDIST_WORKER" in os.environ:
    number, count = (
        os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"),
        os.environ["PYTEST_XDIST_WORKER_COUNT"],
    )
    ports._CANDIDATES = ports._CANDIDATES[int(number) :: int(count)]

# FRAMEBUS_TEST_BROKER=docker: Apache Kafka in a container. FRAMEBUS_ is the programs' own, and they refuse
# what is no setting; processes that run tests at once find it by the other name.
if "FRAMEBUS_TEST_BROKER" in os.environ:
    os.environ["TEST_BROKER"] = os.environ.pop("FRAMEBUS_TEST_BROKER")


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A program that a test runs in its own process sets up logs, on an output that ends with the test."""
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def tansu() -> Iterator[LocalBroker]:
    with local_broker(load_settings(), BrokerKind.TANSU) as broker:
        yield broker


def apache_kind() -> BrokerKind:
    """How tests have Apache Kafka: in a container if they are told so, else as a process of their own."""
    return BrokerKind(os.environ.get("TEST_BROKER", BrokerKind.APACHE))


def why_no_broker() -> str | None:
    """Says in words why Apache Kafka cannot be had that way; a container is tried all the same."""
    return None if apache_kind() is BrokerKind.DOCKER else why_no_apache(load_settings())


@pytest.fixture(scope="session")
def apache() -> Iterator[LocalBroker]:
    if reason := why_no_broker():
        pytest.skip(f"without Apache Kafka: {reason}")
    with local_broker(load_settings(), apache_kind()) as broker:
        yield broker


@pytest.fixture(params=["tansu", "apache"])
def broker(request: pytest.FixtureRequest) -> LocalBroker:
    """Each broker in turn."""
    broker: LocalBroker = request.getfixturevalue(request.param)
    return broker


@pytest.fixture
def best_broker(request: pytest.FixtureRequest) -> LocalBroker:
    """Apache Kafka where it can be had, else Tansu."""
    kind = "tansu" if why_no_broker() else "apache"
    broker: LocalBroker = request.getfixturevalue(kind)
    return broker


@pytest.fixture(scope="session")
def models_directory() -> Path:
    """Holds the sample model; in the user's cache, for it is large."""
    settings = load_settings()
    models = cache_directory(settings) / "models"
    fetch(read_samples()["pedestrian"], settings.model_copy(update={"models_dir": models}))
    return models


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    """The sample model that is built here; built anew by each run of the tests."""
    sample = read_samples()["coco"]
    if reason := lacking(sample):
        pytest.skip(f"the model coco cannot be fetched: {reason}")
    models = tmp_path_factory.mktemp("models")
    fetch_with_progress(sample, load_settings(models_dir=models))
    return ModelRepository(models).open("coco")


@pytest.fixture(scope="session")
def street() -> Path:
    """A sample video, 250 frames of 640x272."""
    return fetch(read_samples()["street"], load_settings())

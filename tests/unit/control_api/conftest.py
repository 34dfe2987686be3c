"""The control API on a bus in memory, with workers that are real but for their engine."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_api.app import ControlApi
from framebus.bus.memory import MemoryBus
from framebus.environment import load_settings
from framebus.model_repository import GRAPH
from framebus.settings import Settings
from tests.unit.control_api.fake_worker import FakeWorker
from tests.workers import wait_until

CONFIG = {
    "inference_engine_name": "tensorflow_detection",
    "confidence": 60,
    "predictions": 15,
    "number_of_classes": 2,
    "framework": "tensorflow",
    "type": "detection",
    "network": "ssd",
}
LABELS = "item { id: 1 name: 'n1' display_name: 'person' }\nitem { id: 3 name: 'dog' }\n"


def write_model(models: Path, name: str, config: str | None = None) -> Path:
    folder = models / name
    folder.mkdir(parents=True)
    (folder / GRAPH).write_bytes(b"graph")
    (folder / "object-detection.pbtxt").write_text(LABELS)
    (folder / "config.json").write_text(config or json.dumps(CONFIG))
    return folder


def write_models(directory: Path) -> Path:
    for name in ("cars", "people"):
        write_model(directory, name)
    return directory


def settings_for(models: Path, control: dict[str, Any] | None = None, **api: Any) -> Settings:
    limits = {"port": 0, "load_timeout_s": 10, "predict_timeout_s": 10, "max_image_pixels": 10**6}
    return load_settings(models_dir=models, control=control or {}, api={**limits, **api})


class Api:
    """A replica of the API on a port of its own; `plane` is what it is made of."""

    def __init__(self, settings: Settings, bus: MemoryBus, *, has_streams: bool = True) -> None:
        program = ControlApi(settings, bus, has_streams=has_streams)
        self.plane = program.plane
        self._stop = threading.Event()
        self._thread = threading.Thread(target=program.run, args=(self._stop,), name="api")
        self._thread.start()
        wait_until(lambda: program.port is not None)
        self.url = f"http://127.0.0.1:{program.port}"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        wait_until(lambda: all(follower.is_current for follower in self.plane.followers))

    def tell_to_stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        self._thread.join()
        self.http.close()

    def knows(self, *workers: FakeWorker, models: tuple[str, ...] = ()) -> None:
        """Waits until it has heard of these workers and no others, and that each has these models loaded."""

        def is_known() -> bool:
            live = {worker.worker: worker for worker in self.plane.workers.live()}
            loaded = {name: {one.worker for one in self.plane.workers.with_model(name)} for name in models}
            names = {worker.name for worker in workers}
            return set(live) == names and all(found >= names for found in loaded.values())

        wait_until(is_known)

    def knows_waiting(self, worker: FakeWorker, count: int) -> None:
        """Waits until it has heard how many predictions wait on a worker."""
        wait_until(
            lambda: any(
                one.worker == worker.name and one.waiting_predictions == count
                for one in self.plane.workers.live()
            )
        )


class Installation:
    """Models, a bus, and what was started; all of it ends together."""

    def __init__(self, models: Path) -> None:
        self.models = models
        self.bus = MemoryBus()
        self._apis: list[Api] = []
        self._workers: list[FakeWorker] = []

    def start_api(self, settings: Settings | None = None, *, has_streams: bool = True) -> Api:
        self._apis.append(Api(settings or settings_for(self.models), self.bus, has_streams=has_streams))
        return self._apis[-1]

    def start_worker(
        self, name: str = "worker-1", settings: Settings | None = None, routed: tuple[str, ...] = ()
    ) -> FakeWorker:
        self._workers.append(FakeWorker(self.bus, settings or settings_for(self.models), name, routed))
        return self._workers[-1]

    def stop(self) -> None:
        for api in self._apis:
            api.tell_to_stop()
        for worker in self._workers:
            worker.go_on()
            worker.die()
        for api in self._apis:
            api.join()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_models(tmp_path / "models")


@pytest.fixture
def installation(models: Path) -> Iterator[Installation]:
    installation = Installation(models)
    yield installation
    installation.stop()


StartApi = Callable[..., Api]
StartWorker = Callable[..., FakeWorker]


@pytest.fixture
def start_worker(installation: Installation) -> StartWorker:
    """Starts workers: name, settings, and the models that a topic is read for."""
    return installation.start_worker


@pytest.fixture
def start_api(installation: Installation, models: Path) -> StartApi:
    """Starts replicas, with other values in the settings' groups `control` and `api`."""
    return lambda **settings: installation.start_api(settings_for(models, **settings))


@pytest.fixture
def worker(start_worker: StartWorker) -> FakeWorker:
    """One that has the model `people` for the frames of a topic."""
    return start_worker(routed=("people",))


@pytest.fixture
def api(start_api: StartApi, worker: FakeWorker) -> Api:
    """A replica that knows the one worker."""
    api = start_api()
    api.knows(worker, models=("people",))
    return api


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The same for a whole module, for tests that change nothing."""
    installation = Installation(write_models(tmp_path_factory.mktemp("steady") / "models"))
    worker = installation.start_worker(routed=("people",))
    api = installation.start_api()
    api.knows(worker, models=("people",))
    yield api
    installation.stop()

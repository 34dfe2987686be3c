"""The REST API and its workers as real processes, on a broker or on none."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import httpx
import numpy as np

from framebus.local_broker.ports import free_ports
from tests.e2e.slow_models import install_broken_model, install_slow_model
from tests.integration.framebus_process import FramebusProcess
from tests.integration.installation import Installation
from tests.kafka import unique
from tests.quick_model import install_quick_model

SLOW, BROKEN = "slow", "broken"
WORKER_TOKEN = "what-the-workers-and-the-api-share"
TIMEOUT_S = 120.0

_INTERVAL_S = 0.05
# Servers close idle connections after five seconds, and none should be used that is being closed.
_KEEP_ALIVE_S = 1.0
# A busy machine answers late; that alone is no error here.
_PATIENT = {"FRAMEBUS_API__PREDICT_TIMEOUT_S": "100", "FRAMEBUS_API__LOAD_TIMEOUT_S": "100"}

Result = TypeVar("Result")
Process = TypeVar("Process", bound=FramebusProcess)


class RestProcess(FramebusProcess):
    """`framebus api` or `framebus serve`, on a port of its own."""

    def __init__(self, name: str, *arguments: str, environment: Mapping[str, str], directory: Path) -> None:
        super().__init__(name, *arguments, environment={**_PATIENT, **environment}, directory=directory)

    @contextmanager
    def client(self, token: str | None = None) -> Iterator[httpx.Client]:
        """A client of it, good for many threads."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with http_client(self.url, headers) as client:
            yield client

    def workers(self) -> dict[str, dict[str, Any]]:
        """What it says of the workers that live, by their addresses."""
        with self.client() as client:
            return {worker["address"]: worker for worker in data_of(client.get("/workers"))}

    def until_taken(self) -> None:
        """Waits until it has a prediction in flight, beside the request that asks for that."""
        self.until(lambda: self.metric("framebus_api_requests_in_flight") >= 2, "the request to be taken")

    def until_workers(self, *workers: "WorkerProcess") -> None:
        """Waits until it knows these workers, and no others, and that they are ready."""

        def knows_them() -> bool:
            known = self.workers()
            return set(known) == {one.url for one in workers} and all(
                one["is_ready"] for one in known.values()
            )

        self.until(knows_them, f"{len(workers)} workers in /workers")


class WorkerProcess(FramebusProcess):
    """`framebus consume`."""

    def predict(self, model: str, picture: bytes) -> httpx.Response:
        """Asks it as the control API does."""
        with http_client(self.url, {"Authorization": f"Bearer {WORKER_TOKEN}"}) as client:
            return client.post(f"/models/{model}/predict", content=picture)


class RestInstallation(Installation):
    """Workers and API replicas that share control topics, beside an installation's frames.

    The models directory has a quick model (`model`), a slow one, a broken one, and maybe a real one.

    Args:
        servers: The broker.
        directory: For models, pictures and logs.
        call_s: How long each call of the quick model takes.
        real_model: The folder of a real model, which is copied; `real` is its name here.
    """

    def __init__(
        self, servers: str, directory: Path, *, call_s: float = 0.0, real_model: Path | None = None
    ) -> None:
        super().__init__(servers, directory, partitions=2, call_s=call_s)
        # Unique, for the topic of its detections is named after it.
        self.real = unique("pedestrian")
        add_models(directory, None if real_model is None else {self.real: real_model})
        self.models = directory / "models"
        self._environment |= {
            "FRAMEBUS_CONTROL__WORKER_TOKEN": WORKER_TOKEN,
            "FRAMEBUS_TOPICS__COMMANDS": unique("commands"),
            "FRAMEBUS_TOPICS__WORKERS": unique("workers"),
        }
        self.create_topics()

    def api(self, **environment: str) -> RestProcess:
        """Starts a replica of `framebus api`."""
        return self._run(RestProcess, "api", **environment)

    def worker(self, *arguments: str, **environment: str) -> WorkerProcess:
        """Starts `framebus consume`; its frames go through the quick model, unless told otherwise."""
        return self._run(WorkerProcess, "consume", *arguments, **environment)

    def _run(self, kind: Callable[..., Process], *arguments: str, **environment: str) -> Process:
        self._started += 1
        process = kind(
            f"{arguments[0]}-{self._started}",
            *arguments,
            environment=self._environment | environment,
            directory=self._directory,
        )
        self._processes.callback(process.kill)
        return process


@contextmanager
def served(
    directory: Path,
    model: str,
    *,
    call_s: float = 0.0,
    real_models: Mapping[str, Path] | None = None,
    **environment: str,
) -> Iterator[RestProcess]:
    """`framebus serve` with the same models, where no Kafka is; ready, and killed at the end.

    Args:
        directory: For models and logs.
        model: Name of the quick model.
        call_s: How long each call of it takes.
        real_models: Folders of real models, which are copied, by the names they get.
        **environment: Settings.
    """
    own = install_quick_model(directory, model, call_s=call_s)
    add_models(directory, real_models)
    [nobody] = free_ports(1)
    own["FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS"] = f"127.0.0.1:{nobody}"
    process = RestProcess("serve", "serve", environment=own | environment, directory=directory)
    try:
        process.until_ready()
        yield process
    finally:
        process.kill()


def add_models(directory: Path, real_models: Mapping[str, Path] | None) -> None:
    """Makes folders for the slow, the broken and real models beside that of the quick one."""
    install_slow_model(directory, SLOW)
    install_broken_model(directory, BROKEN)
    for name, folder in (real_models or {}).items():
        shutil.copytree(folder, directory / "models" / name)


def http_client(url: str, headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client that knows no proxy, and does not give up on a busy machine."""
    return httpx.Client(
        base_url=url,
        headers=headers,
        timeout=TIMEOUT_S,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEEP_ALIVE_S),
    )


def data_of(response: httpx.Response) -> Any:
    """The data in the envelope of an answer that has to be a good one."""
    assert response.status_code == 200, (response.url, response.status_code, response.text)
    answer = response.json()
    assert answer == {"data": answer["data"], "error": "", "success": True}
    return answer["data"]


def predict(client: httpx.Client, model: str, picture: bytes, **headers: str) -> httpx.Response:
    """Sends a picture as clients do."""
    files = {"input_data": ("picture.jpg", picture, "image/jpeg")}
    return client.post(f"/models/{model}/predict", files=files, headers=headers)


def whole_picture(width: int, height: int) -> dict[str, Any]:
    """What the quick and the slow model find in a picture of this size."""
    return {
        "bounding-boxes": [
            {
                "ObjectClassName": "person",
                "confidence": 90.0,
                "coordinates": {"left": 0, "top": 0, "right": width, "bottom": height},
                "ObjectClassId": 1,
            }
        ]
    }


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Makes all calls at the same time, and returns their results in order."""
    start = threading.Barrier(len(calls))

    def make(call: Callable[[], Result]) -> Result:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(make, calls))


def seconds_until(happens: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> float:
    """Waits until something happens, and returns how long it took."""
    began_s = time.monotonic()
    while not happens():
        assert time.monotonic() - began_s < timeout_s, f"waited {timeout_s} s in vain for {what}"
        time.sleep(_INTERVAL_S)
    return time.monotonic() - began_s


def street_pictures(video: Path, *numbers: int) -> list[bytes]:
    """Frames of a video as JPEG."""
    capture = cv2.VideoCapture(str(video))
    pictures = []
    for number in range(max(numbers) + 1):
        decoded, frame = capture.read()
        assert decoded, f"{video} has {number} frames"
        if number in numbers:
            pictures.append(np.asarray(cv2.imencode(".jpg", frame)[1]).tobytes())
    capture.release()
    return pictures

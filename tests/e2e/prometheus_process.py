"""A Prometheus of its own, with the project's configuration, and its HTTP API."""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import yaml

from framebus.local_broker.ports import LOOPBACK, free_ports
from tests.monitoring import PROMETHEUS

_TIMEOUT_S = 60.0
_INTERVAL_S = 0.2
_SCRAPE_INTERVAL = "2s"  # so that a test need not wait for the real one

Found = TypeVar("Found")


class PrometheusProcess:
    """`prometheus` on loopback; a context that ends it.

    Args:
        program: The binary.
        directory: For its configuration, its data and its log.
        targets: Where the programs are, as host:port, by the name of their file in `targets/`.
    """

    def __init__(self, program: str, directory: Path, targets: Mapping[str, str]) -> None:
        configuration = directory / "prometheus"
        shutil.copytree(PROMETHEUS, configuration)
        for name, address in targets.items():
            file = configuration / "targets" / f"{name}.yml"
            assert file.exists()
            file.write_text(yaml.safe_dump([{"targets": [address]}]))
        whole = yaml.safe_load((configuration / "prometheus.yml").read_text())
        whole["global"] = {"scrape_interval": _SCRAPE_INTERVAL, "evaluation_interval": _SCRAPE_INTERVAL}
        (configuration / "prometheus.yml").write_text(yaml.safe_dump(whole))

        (port,) = free_ports(1)
        self._log = directory / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={configuration / 'prometheus.yml'}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address={LOOPBACK}:{port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._client = httpx.Client(
            base_url=f"http://{LOOPBACK}:{port}/api/v1", trust_env=False, timeout=_TIMEOUT_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, **parameters: str) -> Any:
        """What its API answers; waits until it listens.

        Raises:
            ValueError: It refuses the question; the message says why.
        """
        response = self.until(lambda: self._get(path, parameters), f"an answer of {path}")
        answer = response.json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters}: {answer['error']}")
        return answer["data"]

    def _get(self, path: str, parameters: Mapping[str, str]) -> httpx.Response | None:
        try:
            response = self._client.get(path, params=parameters)
        except httpx.ConnectError:
            return None
        return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        series: list[dict[str, Any]] = self.ask("/query", query=expression)["result"]
        return series

    def until(self, happens: Callable[[], Found | None], what: str) -> Found:
        """Waits until something happens, and returns it."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while not (found := happens()):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline_s, (
                f"waited in vain for {what}: {self._log.read_text()[-2000:]}"
            )
            time.sleep(_INTERVAL_S)
        return found

"""`framebus produce` as a process of its own, with its metrics and what it logged."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from framebus.local_broker import LocalBroker
from framebus.local_broker.ports import free_ports

TIMEOUT_S = 30


class ProduceCommand:
    """The command, from its start; ended with the `with` of its `process`.

    Args:
        broker: Where it publishes.
        directory: Where its log is written.
        *options: What follows `framebus produce`.
        **environment: Settings.
    """

    def __init__(self, broker: LocalBroker, directory: Path, *options: str, **environment: str) -> None:
        (self._port,) = free_ports(1)
        self._log = directory / "produce.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "framebus.cli", "produce", *options],
                env=os.environ
                | {
                    "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
                    "FRAMEBUS_PRODUCER__HTTP_PORT": str(self._port),
                    "FRAMEBUS_LOG__FORMAT": "json",
                }
                | environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def until(self, happens: Callable[[], Any], what: str) -> Any:
        """Waits until something happens, and returns what."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s and self.process.poll() is None:
            if found := happens():
                return found
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        raise AssertionError(f"waited in vain for {what}; the log says {self.log()}")

    def until_logged(self, event: str, camera_id: str | None = None) -> dict[str, Any]:
        def logged() -> dict[str, Any] | None:
            lines = (line for line in self.log() if line["event"] == event)
            return next((line for line in lines if camera_id in (None, line.get("camera"))), None)

        line: dict[str, Any] = self.until(logged, f"{event} of {camera_id}")
        return line

    def until_published(self, camera_id: str) -> None:
        """Waits until a camera has published ten frames."""
        name = "framebus_published_frames_total"
        self.until(lambda: self.value(name, camera_id) >= 10, f"frames of {camera_id}")

    def log(self) -> list[dict[str, Any]]:
        """What was logged so far, in whole lines."""
        return [json.loads(line) for line in self._log.read_text().split("\n")[:-1]]

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            metrics: str = answer.read().decode()
        return metrics

    def value(self, metric: str, camera_id: str) -> float:
        """A metric of a camera as it is now; 0 if there is none yet."""
        match = re.search(rf'^{metric}{{camera="{camera_id}"}} (\S+)$', self.metrics(), re.MULTILINE)
        return float(match[1]) if match else 0.0

    def stop(self, exit_code: int = 0) -> dict[str, Any]:
        """Tells it to stop; returns its summary."""
        self.process.terminate()
        return self.summary(exit_code)

    def summary(self, exit_code: int = 0) -> dict[str, Any]:
        """Waits for the end; returns its summary."""
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        assert self.process.returncode == exit_code, self.log()
        summary: dict[str, Any] = json.loads(output.splitlines()[-1])
        return summary

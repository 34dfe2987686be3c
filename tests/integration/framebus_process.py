"""A `framebus` command as a process of its own: what it logs, what its HTTP port says, and its end."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from framebus.local_broker.ports import free_ports

_TIMEOUT_S = 60.0
_INTERVAL_S = 0.1
_LOG_LINES_SHOWN = 30

_ASSIGNED = "partitions assigned"
_REVOKED = "partitions revoked"
_LOST = "partitions lost, the group went on without this consumer"

Found = TypeVar("Found")


class FramebusProcess:
    """One command, from its start; whoever starts it kills it in the end.

    Args:
        name: Of its log file.
        arguments: What follows `framebus`.
        environment: Settings.
        directory: Where its log and its output are written.

    Attributes:
        url: Where its HTTP port is.
    """

    def __init__(self, name: str, *arguments: str, environment: Mapping[str, str], directory: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._log_file, self._output_file = directory / f"{name}.log", directory / f"{name}.out"
        own = {
            "FRAMEBUS_CONSUMER__HTTP_PORT": str(port),
            "FRAMEBUS_PRODUCER__HTTP_PORT": str(port),
            "FRAMEBUS_API__PORT": str(port),
            "FRAMEBUS_LOG__FORMAT": "json",
        }
        with self._log_file.open("wb") as log, self._output_file.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "framebus.cli", *arguments],
                env={**os.environ, **own, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines it logged so far, or those of one event."""
        lines = self._log_file.read_text().split("\n")[:-1]
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if event in (None, line["event"])]

    def group_changes(self) -> list[dict[str, Any]]:
        """Its lines about partitions that came and went."""
        return [line for line in self.log() if line["event"] in (_ASSIGNED, _REVOKED, _LOST)]

    def partitions(self) -> set[str]:
        """What it reads, as its log tells: `<topic>/<partition>`."""
        held: set[str] = set()
        for line in self.group_changes():
            if line["event"] == _ASSIGNED:
                held.update(line["partitions"])
            else:
                held.difference_update(line["partitions"])
        return held

    def output(self) -> str:
        """What it printed so far."""
        return self._output_file.read_text()

    def until(self, happens: Callable[[], Found | None], what: str, timeout_s: float = _TIMEOUT_S) -> Found:
        """Waits until something happens while the process runs, and returns it."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if found := happens():
                return found
            assert self.process.poll() is None, self._told(f"it ended while we waited for {what}")
            time.sleep(_INTERVAL_S)
        raise AssertionError(self._told(f"waited {timeout_s} s in vain for {what}"))

    def until_logged(self, event: str, *, count: int = 1) -> dict[str, Any]:
        """Waits until it has logged an event so often, and returns the last line of it."""
        self.until(lambda: len(self.log(event)) >= count, f"{event!r} in its log")
        return self.log(event)[-1]

    def until_ready(self) -> None:
        """Waits until /readyz answers 200."""
        self.until(lambda: self.not_ready() is None, "readiness")

    def until_not_ready(self) -> str:
        """Waits until /readyz answers 503, and returns the reason it gives."""
        return self.until(self.not_ready, "/readyz saying that it is not ready")

    def not_ready(self) -> str | None:
        """The reason why it is not ready, in its own words; None if it is."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10):
                return None
        except urllib.error.HTTPError as error:
            with error:
                reason: str = json.load(error)["reason"]
                return reason
        except urllib.error.URLError as error:  # it does not listen yet
            return str(error.reason)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels, as of now."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def get(self, path: str) -> Any:
        """What its HTTP port answers, as JSON."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=_TIMEOUT_S) as answer:
            return json.load(answer)

    def finished_frames(self) -> float:
        """How many frames a consumer has published detections of."""
        return self.metric("framebus_frames_total")

    def until_finished(self, frames: float) -> None:
        """Waits until a consumer has published detections of so many frames."""
        self.until(lambda: self.finished_frames() >= frames, f"{frames} frames")

    def send(self, signal_number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(signal_number)

    def stop(self) -> None:
        """Tells it to stop (SIGTERM), and waits for a good end."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self._told("it did not end well")

    def wait(self, timeout_s: float = _TIMEOUT_S) -> int:
        """Waits for its end; returns its exit code."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout_s)
        raise AssertionError(self._told("it does not end"))

    def kill(self) -> None:
        """Ends it at once, stopped or not."""
        self.process.kill()
        self.process.wait()

    def _told(self, what: str) -> str:
        end = "\n".join(self._log_file.read_text().splitlines()[-_LOG_LINES_SHOWN:])
        return f"{what}; {self._log_file.name} ends with:\n{end}"

"""A node of Apache Kafka that tests stop, kill, freeze and start again on the same data and ports."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from framebus.child_process import start_child
from framebus.environment import load_settings
from framebus.local_broker.apache import SINGLE_NODE_PROPERTIES
from framebus.local_broker.java import find_java, resolve_jars
from framebus.local_broker.ports import LOOPBACK, free_ports
from framebus.resources import cache_directory

# 16 bytes in base64. The same for all: nodes of different tests meet on no port.
_CLUSTER_ID = "ZnJhbWVidXMtLXRlc3RzLQ"
_PROPERTIES = "server.properties"
_JVM_OPTIONS = (
    "-XX:TieredStopAtLevel=1",  # on few cores it halves the time to start
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # says when it is started
)
_MEMORY = ("-Xms96m", "-Xmx384m")
_STARTED = "Kafka Server started"
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0
_LOG_LINES_SHOWN = 40


def single_node() -> dict[str, str]:
    """Properties of a node that is broker and controller, without security, on free ports of loopback."""
    client, controller = (f"{LOOPBACK}:{port}" for port in free_ports(2))
    return SINGLE_NODE_PROPERTIES | {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": "data",  # relative to the node's directory
    }


class ApacheNode:
    """One node of Apache Kafka; runs inside the context, from `start` to `stop` or `kill` as often as wanted.

    The thread that starts it must live as long as it: on Linux the node ends with it.

    Args:
        directory: Keeps its data and its log; made if it is not there.
        properties: Its whole server.properties, such as `single_node()` with what else a test needs.
        format_options: For the first start, e.g. `["--add-scram", "SCRAM-SHA-512=[name=a,password=b]"]`.

    Attributes:
        bootstrap_servers: The address of its first listener.
        log: What it says, of all its starts.
    """

    def __init__(
        self, directory: Path, properties: Mapping[str, str], *, format_options: Sequence[str] = ()
    ) -> None:
        self.bootstrap_servers = properties["listeners"].split(",")[0].split("://")[1]
        self.log = directory / "node.log"
        self._directory = directory
        self._properties = properties
        self._format_options = format_options
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start_bytes = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        assert self._process is not None, "the node does not run"
        return self._process.pid

    def start(self) -> None:
        """Starts it on the data of the last time, and returns when it answers."""
        self.launch()
        self.wait_until_started()

    def launch(self) -> None:
        """Starts it without waiting; of several nodes, none answers before most of them run."""
        assert self._process is None, "the node runs already"
        self._directory.mkdir(parents=True, exist_ok=True)
        jars = resolve_jars(cache_directory(load_settings()))
        java = [find_java(), *_JVM_OPTIONS, *_MEMORY, "-cp", f"{jars}/*"]
        lines = [f"{name}={value}\n" for name, value in self._properties.items()]
        (self._directory / _PROPERTIES).write_text("".join(lines))
        with self.log.open("ab") as log:
            self._format(java, log.fileno())
            self._log_start_bytes = self.log.stat().st_size
            self._process = start_child(
                [*java, "kafka.Kafka", _PROPERTIES],
                cwd=self._directory,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_started(self) -> None:
        """Returns when a launched node answers on all of its listeners."""
        assert self._process is not None, "the node was not launched"
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while _STARTED not in self._log_of_this_start():
            assert self._process.poll() is None, f"the node ended while it started:\n{self._end_of_log()}"
            assert time.monotonic() < deadline_s, (
                f"the node does not answer in {_START_TIMEOUT_S} s:\n{self._end_of_log()}"
            )
            time.sleep(0.05)

    def stop(self) -> None:
        """Has it shut down in order (SIGTERM): it hands its partitions over and closes its logs."""
        assert self._process is not None, "the node does not run"
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the node does not stop:\n{self._end_of_log()}") from None
        self._process = None

    def kill(self) -> None:
        """Ends it at once (SIGKILL), paused or not; nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Freezes it (SIGSTOP): its connections stay, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after `pause` (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def _format(self, java: Sequence[str], log: int) -> None:
        if (self._directory / self._properties["log.dirs"] / "meta.properties").exists():
            return
        options = [f"--cluster-id={_CLUSTER_ID}", "--config", _PROPERTIES, *self._format_options]
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", *options],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, f"the data directory cannot be formatted:\n{self._end_of_log()}"

    def _log_of_this_start(self) -> str:
        return self.log.read_bytes()[self._log_start_bytes :].decode(errors="replace")

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])

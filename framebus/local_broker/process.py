"""A local broker that is a child process of ours."""

import fcntl
import shutil
import subprocess
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

from framebus.child_process import start_child
from framebus.errors import SettingsError, TransportError
from framebus.local_broker.broker import LocalBroker
from framebus.local_broker.ports import answers, require_free

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
_LOG = "broker.log"
_LOG_LINES_SHOWN = 15

Report = Callable[[str], None]
"""Told in words what is going on; for a status line."""


def no_report(_step: str) -> None:
    """For those who show no status line."""


class ProcessBroker(LocalBroker):
    """Starts a program, waits until it answers, and ends it: SIGTERM, then SIGKILL after `STOP_TIMEOUT_S`.

    The thread that calls `start` must live as long as the broker: on Linux the broker ends with it.

    Attributes:
        data_directory: What the broker keeps for the next start; None: a temporary one, gone at `stop`.
    """

    def __init__(self, port: int = 0, data_directory: Path | None = None, report: Report = no_report) -> None:
        super().__init__(port)
        self.data_directory = data_directory
        self._report = report
        self._temporary_directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the broker, alive or ended by itself; only between `start` and `stop`."""
        return self._running().pid

    def start(self) -> None:  # noqa: D102
        require_free(self.port)
        directory = self._open_directory()
        try:
            with _locked_log(directory) as log:
                command = self._command(directory)
                self._report(f"starting the {self.kind} broker")
                self._process = start_child(command, cwd=directory, stdout=log, stderr=subprocess.STDOUT)
            why_not = self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise
        if why_not:
            self._end_process()
            self._temporary_directory = None  # it stays, with the log that the message names
            raise TransportError(f"the {self.kind} broker {why_not}; {_end_of_log(directory)}")

    def stop(self) -> None:  # noqa: D102
        self._end_process()
        if self._temporary_directory is not None:
            shutil.rmtree(self._temporary_directory)
            self._temporary_directory = None

    def wait(self) -> NoReturn:  # noqa: D102
        exit_code = self._running().wait()
        end_of_log = _end_of_log(self._open_directory())
        raise TransportError(f"the {self.kind} broker ended by itself, exit code {exit_code}; {end_of_log}")

    @abstractmethod
    def _command(self, directory: Path) -> list[str]:
        """Prepares `directory` and returns the command that runs the broker, with the program's full path."""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"the {self.kind} broker is not started")
        return self._process

    def _open_directory(self) -> Path:
        if self.data_directory is not None:
            try:
                self.data_directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError(f"--data-dir {self.data_directory}: {error.strerror}") from error
            return self.data_directory.resolve()
        if self._temporary_directory is None:
            self._temporary_directory = Path(tempfile.mkdtemp(prefix=f"framebus-{self.kind}-"))
        return self._temporary_directory

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> str | None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.port):
            if (exit_code := process.poll()) is not None:
                return f"ended while it started, exit code {exit_code}"
            if time.monotonic() > deadline:
                return f"does not answer on port {self.port} after {START_TIMEOUT_S:.0f} s"
            time.sleep(0.05)
        return None

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _locked_log(directory: Path) -> BinaryIO:
    """Opens the log, empty, with a lock that the broker inherits and holds as long as it lives.

    Kafka's own lock comes too late: it lets a second broker write to the cluster metadata of the first.
    """
    log = (directory / _LOG).open("ab")
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        log.close()
        raise SettingsError(f"--data-dir {directory} is in use by another broker; end it first") from error
    log.truncate(0)
    return log


def _end_of_log(directory: Path) -> str:
    lines = (directory / _LOG).read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
    return "\n  ".join([f"its log, {directory / _LOG}, ends with:", *lines])

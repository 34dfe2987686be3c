"""A program of the suite: started, told to stop, killed, measured from outside."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from framebus.child_process import start_child
from tests.chaos.stage import BrokenGuaranteeError

_STOP_TIMEOUT_S = 90.0
_MEGABYTE = 2**20


class Process:
    """One process, with its log and its output beside each other; whoever starts it kills it in the end.

    Args:
        name: Of its files.
        command: The program's full path, and its arguments.
        environment: On top of this process's own.
        directory: Where its files are.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], directory: Path
    ) -> None:
        self.name = name
        self.log_file, self._output_file = directory / f"{name}.log", directory / f"{name}.out"
        with self.log_file.open("wb") as log, self._output_file.open("wb") as output:
            self._process = start_child(command, env={**os.environ, **environment}, stdout=output, stderr=log)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def send(self, signal_number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(signal_number)

    def stop(self) -> float:
        """Sends SIGTERM and waits; returns after how many seconds it had ended.

        Raises:
            BrokenGuaranteeError: It did not end, or not well.
        """
        began_s = time.monotonic()
        self.send(signal.SIGTERM)
        self.wait_for_good_end()
        return time.monotonic() - began_s

    def wait_for_good_end(self) -> None:
        """Waits until it has ended after SIGTERM.

        Raises:
            BrokenGuaranteeError: It did not end, or not well.
        """
        try:
            code = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise BrokenGuaranteeError(
                f"no end {_STOP_TIMEOUT_S:.0f} s after SIGTERM: {self.log_file}"
            ) from None
        if code != 0:
            raise BrokenGuaranteeError(f"exit code {code} after SIGTERM: {self.log_file}")

    def kill(self) -> None:
        """Sends SIGKILL, and waits for the end."""
        self._process.kill()
        self._process.wait()

    def output(self) -> str:
        """What it printed."""
        return self._output_file.read_text()

    def resident_mb(self) -> float:
        """Memory that it holds, in MiB, as Linux counts it (/proc/PID/statm, in pages)."""
        pages = int(self._proc("statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE

    def file_descriptors(self) -> int:
        """Open files, sockets and pipes."""
        return len(list(self._proc("fd").iterdir()))

    def threads(self) -> int:
        """Threads, of whatever library."""
        return len(list(self._proc("task").iterdir()))

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self._process.pid}/{name}")

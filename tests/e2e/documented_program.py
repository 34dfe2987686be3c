"""A program of a documented command, as somebody has it in a terminal of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PATIENCE_S = 120.0
_INTERVAL_S = 0.05


class Program:
    """A program that goes on until it is told to stop, in a terminal of its own."""

    def __init__(self, kind: str, script: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.kind = kind
        self._output = directory / f".{kind}.out"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, is_up: Callable[[str], bool]) -> None:
        """Waits until it is up, or has done all there was to do."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while not is_up(self.output()):
            code = self._process.poll()
            assert code in (None, 0), f"it ended with code {code}:\n{self.output()}"
            if code == 0:
                return
            assert time.monotonic() < deadline_s, f"it is not up:\n{self.output()}"
            time.sleep(_INTERVAL_S)

    def output(self) -> str:
        """What it printed and logged so far."""
        return self._output.read_text(errors="replace")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._signal(signal.SIGINT)

    def wait(self) -> None:
        """Waits for its end; it has to be a good one."""
        code = self._process.wait(_PATIENCE_S)
        assert code == 0, f"after Ctrl-C it ended with code {code}:\n{self.output()}"

    def kill(self) -> None:
        """Ends it and what it started."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


def interrupt(programs: Sequence[Program]) -> None:
    """Ends all at once, but for a broker, which the others need to end well."""
    brokers = [program for program in programs if program.kind == "broker"]
    for some in ([program for program in programs if program not in brokers], brokers):
        for program in some:
            program.interrupt()
        for program in some:
            program.wait()

"""The demo's consumer and producers: real processes, each with a log file of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from framebus.errors import FramebusError

_LOG_TAIL_LINES = 15
_STOP_TIMEOUT_S = 45.0


class Program:
    """One `framebus` program, run with the demo's settings.

    Args:
        name: What it is, for messages and its log file.
        arguments: What follows `framebus` on the command line.
        environment: Settings on top of this process's own.
        log_directory: Where its log file is written.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log_directory: Path
    ) -> None:
        self.name = name
        self.log_file = log_directory / f"{name}.log"
        self._asked_to_stop = False
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "framebus.cli", *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for the demo, which stops its programs in the order that loses nothing.
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        """Tells whether it ended by itself and well.

        Raises:
            FramebusError: It failed; shows the end of its log.
        """
        code = self._process.poll()
        if code not in (None, 0):
            tail = "\n  ".join(self.log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
            raise FramebusError(
                f"{self.name} ended with exit code {code}; {self.log_file} ends with\n  {tail}"
            )
        return code is not None

    def ask_to_stop(self) -> None:
        """Sends SIGTERM, once; the program finishes what it holds."""
        # A second one could meet Python on its way out, when it no longer minds signals.
        if not self._asked_to_stop and self._process.poll() is None:
            self._asked_to_stop = True
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Waits until it has stopped.

        Raises:
            FramebusError: It failed, or did not stop in time and was killed.
        """
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise FramebusError(
                f"{self.name} did not stop within {_STOP_TIMEOUT_S:.0f} s; see {self.log_file}"
            ) from error
        self.has_ended()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The JSON object that a program printed as its last line, once it has ended."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            summary: dict[str, Any] = json.loads(output.read().splitlines()[-1])
        return summary

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

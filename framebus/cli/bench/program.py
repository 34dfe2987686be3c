"""A `framebus` program that is measured: started as its user would start it, watched through its port."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from framebus.child_process import start_child
from framebus.cli.bench.usage import Usage
from framebus.errors import FramebusError
from framebus.local_broker.ports import LOOPBACK

_START_TIMEOUT_S = 180.0
# Loading a model may be what is asked for.
_ANSWER_TIMEOUT_S = 180.0
_LOOK_INTERVAL_S = 0.1
_LOG_TAIL_LINES = 15


class Program:
    """Such a program; ready when this has been entered, and killed when it has been left.

    Args:
        name: What it is, for messages.
        arguments: What follows `framebus` on the command line.
        port: Where it answers on loopback, `/readyz` too.
        settings: Environment variables, over this process's own.
        without: Beginnings of variables of this process that are kept from it.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        port: int,
        settings: Mapping[str, str],
        without: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._arguments = arguments
        self._url = f"http://{LOOPBACK}:{port}"
        own = {name: value for name, value in os.environ.items() if not name.startswith(without)}
        self._environment = {**own, **settings}

    def __enter__(self) -> Self:
        """Starts it, and waits until it is ready.

        Raises:
            FramebusError: It ended, or was not ready in time; with the end of its log.
        """
        self._log = tempfile.TemporaryFile()
        self._process = start_child(
            [sys.executable, "-m", "framebus.cli", *self._arguments],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        try:
            deadline_s = time.monotonic() + _START_TIMEOUT_S
            while self.get("/readyz") is None:
                if time.monotonic() > deadline_s:
                    raise self.failure(f"was not ready after {_START_TIMEOUT_S:.0f} s")
                time.sleep(_LOOK_INTERVAL_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def usage(self) -> Usage:
        """What it has used so far."""
        return Usage.of([self.pid])

    def get(self, path: str) -> str | None:
        """Returns what it answers; None where it answers nothing, or with an error status.

        Raises:
            FramebusError: It has ended.
        """
        if (code := self._process.poll()) is not None:
            raise self.failure(f"ended with exit code {code}")
        try:
            with urllib.request.urlopen(self._url + path, timeout=_ANSWER_TIMEOUT_S) as response:
                text: str = response.read().decode()
                return text
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except OSError:  # not listening yet
            return None

    def failure(self, what: str) -> FramebusError:
        """An error that says this of it, and what it wrote last."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return FramebusError("\n  ".join([f"{self._name} {what}; it wrote last", *lines]))

    def _end(self) -> None:
        # Killed, as an orderly end would take time that nobody measures.
        self._process.kill()
        self._process.wait()
        self._log.close()

"""A process that loads something once, and is then asked for one measurement after the other.

Thread pools are per process, and so is what `time.process_time` tells; loading a model for each measurement
would take longer than measuring it.
"""

import os
import subprocess
import sys
import tempfile
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Self

from framebus.child_process import start_child
from framebus.errors import FramebusError

_END_TIMEOUT_S = 10.0
_LOG_TAIL_LINES = 15

# As a module of its own (-m) this one would be there twice: its package imports it.
_PROGRAM = f"from {__name__} import serve; serve()"


class Child:
    """Such a process: it makes one object, and then calls its methods.

    It has made the object when this has been entered, and is gone when this has been left. It waits while
    nobody asks, so several may be loaded at once and measured in turn.

    Args:
        kind: The object's class, as `package.module:Class`; only the process imports it.
        *arguments: For its constructor; they are pickled.
        cores: On how many of this machine's cores the process may run; None: all.
    """

    def __init__(self, kind: str, *arguments: Any, cores: int | None = None) -> None:
        self._kind = kind
        self._arguments = arguments
        self._cores = cores

    def __enter__(self) -> Self:
        """Starts it and waits until it has loaded.

        Raises:
            FramebusError: What the constructor raised, e.g. ModelError; or the process ended, with the end of
                what it wrote.
        """
        self._log = tempfile.TemporaryFile()
        self._connection, theirs = Pipe()
        with theirs:
            self._process = start_child(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._exchange(self._kind, self._arguments, self._cores)
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

    def ask(self, method: str, *arguments: Any) -> Any:
        """Lets the process call a method of its object, waits, and returns what that returned.

        Raises:
            FramebusError: What the method raised; or the process ended, with the end of what it wrote.
        """
        return self._exchange(method, arguments)

    def _exchange(self, *message: Any) -> Any:
        try:
            self._connection.send(message)
            answer = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            code = self._process.wait()
            raise FramebusError(
                f"the process of {self._kind} ended with exit code {code}; "
                f"it wrote last\n  {self._log_tail()}"
            ) from error
        if isinstance(answer, FramebusError):
            raise answer
        return answer

    def _log_tail(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        return "\n  ".join(lines[-_LOG_TAIL_LINES:])

    def _end(self) -> None:
        self._connection.close()  # that is how it is told
        try:
            # In the midst of a measurement it would look at the connection only after it.
            self._process.terminate()
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._log.close()


def serve() -> None:
    """The process itself: makes its object, and calls its methods until the other end is closed."""
    connection = Connection(int(sys.argv[1]))
    kind, arguments, cores = connection.recv()
    if cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    module, _, name = kind.partition(":")
    try:
        made = getattr(import_module(module), name)(*arguments)
        connection.send(None)
    except FramebusError as error:
        connection.send(error)
        return
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send(getattr(made, method)(*arguments))
        except FramebusError as error:
            connection.send(error)

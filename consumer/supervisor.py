"""Several workers, one process per device; one that ends is started again."""

import math
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from framebus.backoff import Backoff
from framebus.child_process import start_child
from framebus.errors import FramebusError, SettingsError
from framebus.logs import get_logger

STEADY_S = 60.0
"""A worker that ran for so long was sound; when it ends, it is started again as soon as the first time."""
MAX_FAILURES = 5
"""Failures in a row that each worker has before they are all given up."""

_FIRST_WAIT_S = 1.0
_MAX_WAIT_S = 30.0
_LOOK_INTERVAL_S = 0.1
_WRONG_SETTINGS = 2

log = get_logger("supervisor")


class Worker:
    """One device's process. It is started again, after a wait that grows, whenever it ends.

    Args:
        number: Tells it from the others, 0 for the first.
        device: What it runs on, for the log.
        command: The program's full path, and its arguments.
        environment: All of its environment variables.
        backoff: The waits between two starts.
        clock: Gives seconds that only grow.

    Attributes:
        failures: How often in a row it ended since it last ran for `STEADY_S`.
    """

    def __init__(
        self,
        number: int,
        device: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = command
        self._environment = environment
        self._backoff = backoff or Backoff(_MAX_WAIT_S, first_s=_FIRST_WAIT_S)
        self._clock = clock
        self._log = log.bind(worker=number, device=device)
        self._name = f"worker {number} (device {device})"
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = -math.inf
        self._next_start_s = -math.inf
        self._was_steady = False
        self.failures = 0

    @property
    def pid(self) -> int | None:
        """Its process, None while there is none."""
        return None if self._process is None else self._process.pid

    def look_after(self, *, may_start: bool = True) -> None:
        """Starts it when it is time, and notices when it ended.

        Raises:
            SettingsError: It refused its settings at the start; it would refuse them again.
        """
        if self._process is None:
            if may_start and self._clock() >= self._next_start_s:
                self._start()
            return
        code = self._process.poll()
        up_s = self._clock() - self._started_s
        if up_s >= STEADY_S:
            self._was_steady = True
            self.failures = 0
            self._backoff.reset()
        if code is not None:
            self._process = None
            self._plan_next_start(code, up_s)

    def ask_to_end(self) -> None:
        """Sends SIGTERM; it finishes the frames that it holds."""
        if self._process is not None:
            self._process.terminate()

    def end(self, timeout_s: float) -> bool:
        """Waits until it has ended, and kills it if it takes too long; returns whether it ended well."""
        process, self._process = self._process, None
        if process is None:
            return True
        try:
            code = process.wait(max(timeout_s, 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._log.error("worker did not end in time and was killed; what it held will be read again")
            return False
        # One that is only just starting does not mind signals yet, and dies of SIGTERM.
        ended_well = code in (0, -signal.SIGTERM)
        (self._log.info if ended_well else self._log.error)("worker ended", ended_with=_in_words(code))
        return ended_well

    def _start(self) -> None:
        self._process = start_child(self._command, env=self._environment)
        self._started_s = self._clock()
        self._log.info("worker started", pid=self._process.pid)

    def _plan_next_start(self, code: int, up_s: float) -> None:
        # Settings that it once ran with are not wrong; then it is the device or the port that is gone.
        if code == _WRONG_SETTINGS and not self._was_steady:
            raise SettingsError(f"{self._name} refused its settings; what it said is above")
        self.failures += 1
        wait_s = self._backoff.wait_s()
        self._next_start_s = self._clock() + wait_s
        self._log.warning(
            "worker ended, it will be started again",
            ended_with=_in_words(code),
            up_s=round(up_s, 1),
            failures_in_a_row=self.failures,
            next_start_in_s=round(wait_s, 1),
        )


class Supervisor:
    """Keeps workers running until it is told to stop; one that fails leaves the others alone.

    Args:
        workers: One per device.
        end_timeout_s: How long they have to end before they are killed.
    """

    def __init__(self, workers: Sequence[Worker], end_timeout_s: float) -> None:
        self._workers = workers
        self._end_timeout_s = end_timeout_s

    def run(self, stop: threading.Event) -> None:
        """Runs the workers until `stop` is set, then lets them finish what they hold.

        To be called from the main thread, for workers do not outlive the thread that starts them.

        Raises:
            SettingsError: A worker refused its settings at the start.
            FramebusError: No worker can be kept running, or one did not end well.
        """
        try:
            while not stop.is_set():
                # Once all have failed so often, those that still run prove to be steady, or it is over.
                is_last_try = all(worker.failures >= MAX_FAILURES for worker in self._workers)
                for worker in self._workers:
                    worker.look_after(may_start=not is_last_try)
                if is_last_try and all(worker.pid is None for worker in self._workers):
                    raise FramebusError(
                        f"none of {len(self._workers)} workers can be kept running, each failed "
                        f"{MAX_FAILURES} times or more in a row; what they said is above"
                    )
                time.sleep(_LOOK_INTERVAL_S)
            log.info("told to stop, waiting for the workers to finish")
        finally:
            ended_well = self._end_workers()
        if not ended_well:
            raise FramebusError("not all workers ended well; what they said is above")

    def _end_workers(self) -> bool:
        for worker in self._workers:
            worker.ask_to_end()
        deadline_s = time.monotonic() + self._end_timeout_s
        ended_well = [worker.end(deadline_s - time.monotonic()) for worker in self._workers]
        return all(ended_well)


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return next((known.name for known in signal.Signals if known == -code), f"signal {-code}")

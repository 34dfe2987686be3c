"""Threads that belong together, such as a pipeline's stages, and what went wrong on the first that failed."""

import threading
from collections.abc import Callable


def _untold(_: BaseException) -> None:
    """Where a failure is looked for, and nobody is told."""


class Stages:
    """Runs stages on threads of their own.

    Args:
        name: Begins the names of the threads.
        failed: Told what ends one of them, on its thread.
    """

    def __init__(self, name: str, failed: Callable[[BaseException], None] = _untold) -> None:
        self._name = name
        self._failed = failed
        self._threads: list[threading.Thread] = []
        self.failure: BaseException | None = None
        """What ended the first stage that did not end well."""

    def start(self, stage: str, run: Callable[[], None], threads: int = 1) -> None:
        """Runs a stage on so many threads."""
        # Daemons, so that an engine that hangs cannot keep a failed process alive.
        started = [
            threading.Thread(
                target=self._guarded, args=(run,), name=f"{self._name}-{stage}-{number}", daemon=True
            )
            for number in range(threads)
        ]
        for thread in started:
            thread.start()
        self._threads += started

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Takes note of what went wrong, unless something did before."""
        self.failure = self.failure or error
        self._failed(error)

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end of each thread, at most `timeout_s` if given; tells whether all have ended."""
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

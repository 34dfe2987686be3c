"""Ends a process that is stuck, so that what started it may start it again."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from framebus.logs import get_logger

_LOOK_INTERVAL_S = 1.0
_EXIT_CODE = 1

log = get_logger("watchdog")


@contextmanager
def watchdog(stuck: Callable[[], str | None]) -> Iterator[None]:
    """Looks after the process as long as the context lasts.

    A thread that hangs cannot be ended by another one, so the process is, at once and without another word to
    the bus: nothing after the last commit is lost, and the group gives its partitions to other consumers.

    Args:
        stuck: Says in words what is stuck for longer than is allowed; None if nothing is.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_INTERVAL_S):
            reason = stuck()
            if reason is not None:
                log.error("stuck, ending the process; its frames will be read again", reason=reason)
                sys.stderr.flush()
                os._exit(_EXIT_CODE)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

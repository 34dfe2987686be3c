"""How every program is told to stop."""

import signal
import threading


def stop_on_signals() -> threading.Event:
    """Returns an event that SIGTERM, SIGINT and SIGHUP set, so that a program can finish what it holds."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop

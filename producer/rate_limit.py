"""Keeps a camera below a number of pictures per second."""

import time
from collections.abc import Callable

# A picture may be early by this share of the interval, so that one which comes a little out of step passes.
_TOLERANCE = 0.1


class RateLimit:
    """Lets pictures through at no more than a rate, evenly and without drift.

    Args:
        max_fps: Pictures per second; None: all of them.
        clock: Monotonic seconds.
    """

    def __init__(self, max_fps: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 0.0 if max_fps is None else 1 / max_fps
        self._clock = clock
        self._due_s = clock()

    def allows(self) -> bool:
        """Whether the picture that is there now may go on; counts it if so."""
        now_s = self._clock()
        if now_s < self._due_s - _TOLERANCE * self._interval_s:
            return False
        # One that comes late does not put off the next, or a rate that does not divide the camera's own would
        # never be met. Only after a silence time is kept from there.
        if now_s - self._due_s > self._interval_s:
            self._due_s = now_s
        self._due_s += self._interval_s
        return True

"""When a camera's next picture is due."""

import time
from collections.abc import Callable

# A camera that was held up for less than this makes up for it, so that small delays do not add up.
_CATCH_UP_S = 0.5


class Pace:
    """Keeps the time of one camera on the monotonic clock, without drift.

    A camera that is further behind than half a second publishes at once and keeps time from there, instead of
    letting everything that it missed loose on the bus.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_s = clock()

    @property
    def overdue_s(self) -> float:
        """Seconds by which the next picture is late."""
        return max(0.0, self._clock() - self._due_s)

    @property
    def left_s(self) -> float:
        """Seconds until the next picture is due."""
        return max(0.0, self._due_s - self._clock())

    def wait_s(self, lasts_s: float) -> float:
        """Returns how long to wait before the next picture goes out, and counts it as gone.

        Args:
            lasts_s: Seconds from this picture until the one after it.
        """
        now_s = self._clock()
        if now_s - self._due_s > _CATCH_UP_S:
            self._due_s = now_s
        wait_s = max(0.0, self._due_s - now_s)
        self._due_s += lasts_s
        return wait_s

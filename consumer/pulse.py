"""Whether a pipeline is alive, whether its broker is there, and whether its frames get on."""

import math
import time
from collections.abc import Callable

from framebus.errors import TransportError
from framebus.settings import Settings

# Longer than this without a finished frame is no longer slowness.
_SLOW_S = 60.0


class Pulse:
    """Beats with each turn of the loop that polls; others may ask it at any time.

    Args:
        settings: Say how long anything may hang.
        is_connected: Whether a broker can be reached.
        waiting_since_s: When a frame was finished last, or the first of those in flight came, if that was
            later, in monotonic seconds; None while none is in flight.
        longest_call_s: How long the longest engine call that runs now has taken so far.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        is_connected: Callable[[], bool],
        waiting_since_s: Callable[[], float | None],
        longest_call_s: Callable[[], float],
    ) -> None:
        self._limits = settings.consumer
        self._kafka = settings.kafka
        self._is_connected = is_connected
        self._waiting_since_s = waiting_since_s
        self._longest_call_s = longest_call_s
        self._beat_s = self._connected_since_s = time.monotonic()
        self._unreachable_since_s: float | None = None

    def beat(self) -> None:
        """The loop has made a turn.

        Raises:
            TransportError: No broker could be reached for too long.
        """
        self._beat_s = time.monotonic()
        if self._is_connected():
            if self._unreachable_since_s is not None:
                self._unreachable_since_s, self._connected_since_s = None, self._beat_s
        elif self._unreachable_since_s is None:
            self._unreachable_since_s = self._beat_s
        elif self._beat_s - self._unreachable_since_s > self._kafka.patience_s:
            raise TransportError(
                f"no broker answered at {self._kafka.bootstrap_servers} for {self._kafka.patience_s:.0f} s"
            )

    def end(self) -> None:
        """The loop has ended, and makes no more turns."""
        self._beat_s = math.inf

    @property
    def silent_s(self) -> float:
        """How long the loop has made no turn."""
        return time.monotonic() - self._beat_s

    @property
    def not_ready(self) -> str | None:
        """What keeps frames from being processed, in words; None if nothing does."""
        if not self._is_connected():
            return f"no broker can be reached at {self._kafka.bootstrap_servers}"
        return self._standstill(_SLOW_S)

    @property
    def not_alive(self) -> str | None:
        """What is stuck for longer than the settings allow, in words; None if nothing is."""
        limit_s = self._limits.stall_timeout_s
        # A turn may have to wait for the frames in flight of a partition that goes to another consumer.
        if (silent_s := self.silent_s) > limit_s + self._limits.drain_timeout_s:
            return f"the poll loop hangs for {silent_s:.0f} s"
        if (call_s := self._longest_call_s()) > limit_s:
            return f"an engine call hangs for {call_s:.0f} s"
        return self._standstill(limit_s)

    def _standstill(self, limit_s: float) -> str | None:
        since_s = self._waiting_since_s()
        if since_s is None or self._unreachable_since_s is not None:
            return None
        waiting_s = time.monotonic() - max(since_s, self._connected_since_s)
        return f"no frame was finished for {waiting_s:.0f} s" if waiting_s > limit_s else None

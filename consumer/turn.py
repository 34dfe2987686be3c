"""A turn that is taken by one thread at a time, in the order in which they ask."""

import threading
from collections import deque


class Turn:
    """Who gives it back and asks again at once waits behind those who asked before."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._is_taken = False

    def acquire(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds for the turn; returns whether it is the caller's now."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            has_come = self._changed.wait_for(
                lambda: not self._is_taken and self._waiting[0] is ticket, timeout
            )
            self._waiting.remove(ticket)
            self._is_taken = self._is_taken or has_come
            self._changed.notify_all()  # another may be the first now
            return has_come

    def release(self) -> None:
        """Gives the turn back."""
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()

"""How long to wait before the next attempt."""

import random
from collections.abc import Callable


class Backoff:
    """Doubles the wait from one failed attempt to the next, up to a cap.

    Each wait is shortened by up to a half at random, so that what failed together is not tried again at the
    same moment.

    Args:
        max_s: Longest wait.
        first_s: First wait, unless the cap is shorter.
        chance: Gives numbers of 0..1.
    """

    def __init__(
        self, max_s: float, *, first_s: float = 0.5, chance: Callable[[], float] = random.random
    ) -> None:
        self._max_s = max_s
        self._first_s = first_s
        self._chance = chance
        self.reset()

    def reset(self) -> None:
        """The attempt succeeded: the next wait is the shortest again."""
        self._next_s = min(self._first_s, self._max_s)

    def wait_s(self) -> float:
        """Returns how long to wait now, and makes the next wait longer."""
        wait_s = self._next_s * (1 - self._chance() / 2)
        self._next_s = min(2 * self._next_s, self._max_s)
        return wait_s

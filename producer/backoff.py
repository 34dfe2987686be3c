"""How long to wait before the next attempt to reach a camera."""

import random
from collections.abc import Callable

_FIRST_S = 0.5


class Backoff:
    """Doubles the wait from one failed attempt to the next, from half a second up to a cap.

    Each wait is shortened by up to a half at random, so that cameras which were lost together do not all come
    back at the same moment.

    Args:
        max_s: Longest wait.
        chance: Gives numbers of 0..1.
    """

    def __init__(self, max_s: float, chance: Callable[[], float] = random.random) -> None:
        self._max_s = max_s
        self._chance = chance
        self.reset()

    def reset(self) -> None:
        """The camera was reached: the next wait is the shortest again."""
        self._next_s = min(_FIRST_S, self._max_s)

    def wait_s(self) -> float:
        """Returns how long to wait now, and makes the next wait longer."""
        wait_s = self._next_s * (1 - self._chance() / 2)
        self._next_s = min(2 * self._next_s, self._max_s)
        return wait_s

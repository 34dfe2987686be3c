"""What one call costs in the long run, measured over a window of time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallCost:
    """What a call took, on average over the window.

    Attributes:
        wall_s: Seconds from one call's end to the next one's, of whichever thread.
        cpu_s: Seconds of this process on all cores.
    """

    wall_s: float
    cpu_s: float

    def per_image(self, batch: int) -> dict[str, float]:
        """The figures of one image, where each call has so many: ms_per_image, fps and cpu_ms_per_image."""
        return {
            "ms_per_image": 1000 * self.wall_s / batch,
            "fps": batch / self.wall_s,
            "cpu_ms_per_image": 1000 * self.cpu_s / batch,
        }


def call_cost(call: Callable[[int], object], seconds: float, calls_at_once: int = 1) -> CallCost:
    """Calls again and again, from so many threads at once.

    The window begins when the first call ends, and ends with the first call that ends after `seconds`:
    nothing is measured of the first, which makes things ready, nor of the last ones, which run alone.

    Args:
        call: What is measured; gets the number of the call, from 0.
        seconds: Length of the window; it has at least one call.
        calls_at_once: Threads that call.
    """
    window = _Window(call, seconds)
    threads = [threading.Thread(target=window.run) for _ in range(calls_at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return window.cost()


class _Window:
    def __init__(self, call: Callable[[int], object], seconds: float) -> None:
        self._call = call
        self._seconds = seconds
        self._lock = threading.Lock()
        self._begun = 0
        self._ends: list[tuple[float, float]] = []
        self._is_over = False
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._is_over:
                with self._lock:
                    number = self._begun
                    self._begun += 1
                self._call(number)
                self._end_call()
        except BaseException as error:
            # Raised where the cost is asked for; the other threads end with their next call.
            self._failure = error
            self._is_over = True

    def _end_call(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._ends.append((time.perf_counter(), time.process_time()))
            self._is_over = len(self._ends) > 1 and self._ends[-1][0] - self._ends[0][0] >= self._seconds

    def cost(self) -> CallCost:
        if self._failure is not None:
            raise self._failure
        (first_s, first_cpu_s), (last_s, last_cpu_s) = self._ends[0], self._ends[-1]
        calls = len(self._ends) - 1
        return CallCost((last_s - first_s) / calls, (last_cpu_s - first_cpu_s) / calls)

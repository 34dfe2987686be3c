"""The workers that live, as their beats tell."""

import threading
import time
from collections.abc import Callable

from control_api.waiting import wait_until
from framebus.bus import Record
from framebus.control import ModelStatus, WorkerStatus, read_status

_BEATS = 3
# Beats come a little later than they should.
_LISTENED_BEATS = 2


class Workers:
    """Takes the workers' beats, and forgets a worker when three of them are missing or it says farewell.

    A beat counts by its arrival here, so that no clock of another machine and no record of yesterday keeps a
    dead worker alive.

    Args:
        beat_interval_s: How often a worker tells of itself.
        clock: Monotonic, in seconds.
    """

    def __init__(self, beat_interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._beat_interval_s = beat_interval_s
        self._patience_s = _BEATS * beat_interval_s
        self._clock = clock
        # What each said last, and when that arrived, by the clock.
        self._beats: dict[str, tuple[WorkerStatus, float]] = {}
        self._lock = threading.Lock()
        self._listening_since_s: float | None = None

    @property
    def has_listened(self) -> bool:
        """Whether every worker that lives has had the time to say so."""
        since_s = self._listening_since_s
        return since_s is not None and self._clock() - since_s >= _LISTENED_BEATS * self._beat_interval_s

    async def any_live(self) -> bool:
        """Whether any worker lives; waits for as long as one may not have had the time to say so."""
        await wait_until(lambda: bool(self.live()) or self.has_listened, _BEATS * self._beat_interval_s)
        return bool(self.live())

    def restart(self) -> None:
        """Listening begins."""
        self._listening_since_s = None

    def reached_end(self) -> None:
        """What comes from now on is new."""
        self._listening_since_s = self._clock()

    def take(self, record: Record) -> None:
        """Takes a beat, or a farewell.

        Raises:
            ControlRecordError: It is neither.
        """
        if not record.value:
            with self._lock:
                self._beats.pop((record.key or b"").decode(errors="replace"), None)
            return
        status = read_status(record)
        with self._lock:
            now_s = self._clock()
            self._beats[status.worker] = status, now_s
            self._beats = {
                worker: beat for worker, beat in self._beats.items() if now_s - beat[1] <= self._patience_s
            }

    def ages_s(self) -> list[tuple[WorkerStatus, float]]:
        """The workers that live, by id, each with how long ago it was heard."""
        now_s = self._clock()
        with self._lock:
            beats = [self._beats[worker] for worker in sorted(self._beats)]
        ages_s = [(status, max(now_s - heard_s, 0)) for status, heard_s in beats]
        return [(status, age_s) for status, age_s in ages_s if age_s <= self._patience_s]

    def live(self) -> list[WorkerStatus]:
        """The workers that live, by id."""
        return [status for status, _ in self.ages_s()]

    def with_model(self, name: str) -> list[WorkerStatus]:
        """Those that serve a model."""
        return [worker for worker, model in self.reports(name) if model.state == "loaded"]

    def reports(self, name: str) -> list[tuple[WorkerStatus, ModelStatus]]:
        """What the workers say of a model, those that say anything."""
        return [(worker, model) for worker in self.live() if (model := worker.model(name)) is not None]

    def models(self) -> set[str]:
        """The models that any of them speaks of."""
        return {model.name for worker in self.live() for model in worker.models}

"""One-off predictions: pictures go to workers, and to another one where that may help."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from control_api.metrics import ApiMetrics
from control_api.model_control import no_worker
from control_api.problems import TooManyRequestsError, UnavailableError
from control_api.worker_clients import BROKEN_OFF, AnotherWorkerError, WorkerClient
from control_api.workers import Workers
from framebus.control import WorkerStatus
from framebus.logs import get_logger
from framebus.settings import ApiSettings

# A picture that ends the processes that run it must not end them all.
_MOST_BROKEN_OFF = 2
# Between rounds over all workers.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5

log = get_logger("api")


class Predictions:
    """Finds a worker for each picture.

    Args:
        settings: Deadlines and limits.
        workers: Those that live.
        metrics: The API's.
        client: Asks one of them.
    """

    def __init__(
        self, settings: ApiSettings, workers: Workers, metrics: ApiMetrics, client: WorkerClient
    ) -> None:
        self._settings = settings
        self._workers, self._metrics, self._client = workers, metrics, client
        self._in_flight: Counter[str] = Counter()
        self._requests = 0

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Counts a request as long as it lasts.

        Raises:
            TooManyRequestsError: There are as many as may be.
        """
        limit = self._settings.max_concurrent_requests
        if self._requests >= limit:
            raise TooManyRequestsError(
                f"{limit} predictions are being made, and no more are taken at once; try again in a second"
            )
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def predict(self, model: str, picture: bytes) -> Mapping[str, Any]:
        """Has a worker run a picture through a model that at least one has loaded.

        Args:
            model: Its name.
            picture: A complete JPEG, PNG or WebP file.

        Returns:
            The detection message (docs/wire-format.md).

        Raises:
            InvalidInputError: The picture cannot be decoded or processed.
            TooLargeError: It is too large for the worker.
            TooManyRequestsError: All workers were busy all the time.
            UnavailableError: There is no worker, or none answered in time.
        """
        deadline_s = time.monotonic() + self._settings.predict_timeout_s
        pause_s = _FIRST_PAUSE_S
        asked: set[str] = set()
        reasons: dict[str, str] = {}
        broken_off = 0
        while (left_s := deadline_s - time.monotonic()) > 0:
            others = [one for one in self._workers.with_model(model) if one.worker not in asked]
            if not others:
                if not await self._workers.any_live():
                    raise no_worker()
                if left_s < pause_s:
                    break
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                asked.clear()
                continue
            # By lot among equals, so that many replicas do not all ask the same one.
            worker = min(others, key=lambda one: (self._load(one), random.random()))
            asked.add(worker.worker)
            try:
                # A worker that hangs must leave time for another one.
                return await self._ask(worker, model, picture, left_s / 2 if len(others) > 1 else left_s)
            except AnotherWorkerError as error:
                reasons[error.reason] = f"worker {worker.worker}: {error}"
                self._metrics.retries.labels(error.reason).inc()
                broken_off += error.reason == BROKEN_OFF
                log.debug("worker did not answer", worker=worker.worker, error=str(error))
            if broken_off >= _MOST_BROKEN_OFF:
                raise UnavailableError(
                    f"{broken_off} workers broke off while they had this picture, so no other is asked; it "
                    "may be what ends them: see their logs"
                )
        if set(reasons) == {"busy"}:
            raise TooManyRequestsError(f"every worker is busy; {reasons['busy']}")
        why = "; ".join(reasons.values()) or f"no worker has model {model}"
        raise UnavailableError(f"no answer within {self._settings.predict_timeout_s:g} s: {why}")

    def _load(self, worker: WorkerStatus) -> int:
        return self._in_flight[worker.worker] + worker.waiting_predictions

    async def _ask(
        self, worker: WorkerStatus, model: str, picture: bytes, timeout_s: float
    ) -> Mapping[str, Any]:
        self._in_flight[worker.worker] += 1
        try:
            return await self._client.predict(worker, model, picture, timeout_s)
        finally:
            self._in_flight[worker.worker] -= 1
            if not self._in_flight[worker.worker]:
                del self._in_flight[worker.worker]

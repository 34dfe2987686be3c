"""How the control API of `framebus serve` asks the worker of its process."""

import time
from collections.abc import Mapping
from typing import Any

from consumer.in_process import InProcessPredictions
from consumer.predictions import PredictionRefusedError
from control_api.problems import InvalidInputError, TooLargeError
from control_api.worker_clients import AnotherWorkerError
from framebus.control import WorkerStatus
from framebus.errors import FrameError, FrameTooLargeError


class OwnWorkerClient:
    """Asks the one worker there is; see `control_api.worker_clients.WorkerClient`."""

    def __init__(self, predictions: InProcessPredictions) -> None:
        self._predictions = predictions

    async def predict(
        self,
        worker: WorkerStatus,  # noqa: ARG002 - there is no other
        model: str,
        picture: bytes,
        timeout_s: float,
    ) -> Mapping[str, Any]:
        """See `WorkerClient`."""
        try:
            return await self._predictions.predict(model, picture, time.monotonic() + timeout_s)
        except PredictionRefusedError as error:
            raise AnotherWorkerError(error.reason, str(error)) from error
        except FrameTooLargeError as error:
            raise TooLargeError(str(error)) from error
        except FrameError as error:
            raise InvalidInputError(str(error)) from error

    async def close(self) -> None:
        """There is nothing to close."""

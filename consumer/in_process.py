"""One-off predictions for a control API in the same process."""

from typing import Any

from consumer.metrics import ConsumerMetrics
from consumer.predictions import PredictionRefusedError, Predictions
from framebus.errors import FrameError


class InProcessPredictions:
    """The same as the worker's HTTP port gives, without HTTP, and counted alike.

    Over HTTP a picture would cost this process as much again as all else but the engine and the decoder.

    Args:
        predictions: The worker's; their port must not be used at the same time, for that has an event loop of
            its own.
        metrics: The worker's.
    """

    def __init__(self, predictions: Predictions, metrics: ConsumerMetrics) -> None:
        self._predictions, self._metrics = predictions, metrics

    async def predict(self, model: str, data: bytes, deadline_s: float) -> dict[str, Any]:
        """See `Predictions.predict`."""
        outcome = "failed"
        try:
            answer = await self._predictions.predict(model, data, deadline_s)
            outcome = "answered"
            return answer
        except (PredictionRefusedError, FrameError) as error:
            outcome = error.reason
            raise
        finally:
            name = model if self._predictions.serves(model) else ""
            self._metrics.predictions.labels(name, outcome).inc()

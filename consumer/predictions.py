"""One-off predictions: pictures that come by HTTP and go through the engine beside those of the streams."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from consumer.frame_trace import tell_of_call
from consumer.inference import EngineCall, Inference, Picture
from consumer.model_host import Result
from framebus import images, wire
from framebus.detections import Detections
from framebus.errors import FramebusError
from framebus.frames import EncodedFrame
from framebus.settings import ConsumerSettings
from framebus.tracing import current_span

_SOURCE = "rest"


class PredictionRefusedError(FramebusError):
    """This worker cannot answer now; another one may. `reason` is a word for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Predictions:
    """Answers single pictures.

    Args:
        limits: How many may wait, and how large they may be.
        serving: Finds the engine stage of a model that is loaded here.
    """

    def __init__(self, limits: ConsumerSettings, serving: Callable[[str], Inference | None]) -> None:
        self._limits = limits
        self._serving = serving
        self._waiting = 0
        self._decoded_bytes = 0
        self._is_closed = False

    def __len__(self) -> int:
        return self._waiting

    def close(self) -> None:
        """Takes no more."""
        self._is_closed = True

    def serves(self, model: str) -> bool:
        """Whether a model is loaded here."""
        return self._serving(model) is not None

    async def predict(self, model: str, data: bytes, deadline_s: float) -> dict[str, Any]:
        """Runs a picture through a model.

        Args:
            model: Its name.
            data: A complete JPEG, PNG or WebP file.
            deadline_s: When nobody waits for the answer any more, in monotonic seconds.

        Returns:
            The detection message, as it stands on the bus.

        Raises:
            PredictionRefusedError: Not here, or not now.
            FrameError: The picture cannot be processed.
        """
        inference = self._serving(model)
        if inference is None or self._is_closed:
            raise self._refusal(model)
        width, height = images.checked_size(data, self._limits.max_frame_pixels)
        size_bytes = width * height * 3
        is_full = (
            self._decoded_bytes > 0 and self._decoded_bytes + size_bytes > self._limits.max_decoded_bytes
        )
        if is_full or self._waiting >= self._limits.max_waiting_predictions:
            raise PredictionRefusedError("busy", f"{self._waiting} predictions wait on this worker already")
        self._waiting += 1
        self._decoded_bytes += size_bytes
        try:
            return await self._answered(inference, model, data, deadline_s)
        finally:
            self._waiting -= 1
            self._decoded_bytes -= size_bytes

    def _refusal(self, model: str) -> PredictionRefusedError:
        if self._is_closed:
            return PredictionRefusedError("stopping", "this worker stops")
        return PredictionRefusedError("not_loaded", f"model {model} is not loaded on this worker")

    async def _answered(
        self, inference: Inference, model: str, data: bytes, deadline_s: float
    ) -> dict[str, Any]:
        came_s = time.monotonic()
        image = await asyncio.to_thread(images.decode, data, self._limits.max_frame_pixels)
        decode_s = time.monotonic() - came_s
        answer: Future[tuple[Detections, EngineCall]] = Future()

        def answered(result: Result, call: EngineCall) -> None:
            if answer.set_running_or_notify_cancel():  # else the one who asked has gone
                if isinstance(result, Detections):
                    answer.set_result((result, call))
                else:
                    answer.set_exception(result)

        picture = Picture(image, answered, is_urgent=True)
        if not inference.put(picture):  # it was closed while this picture was decoded
            raise self._refusal(model)
        try:
            found, call = await asyncio.wait_for(
                asyncio.wrap_future(answer), max(deadline_s - time.monotonic(), 0)
            )
        except TimeoutError:
            raise PredictionRefusedError("deadline", f"model {model} did not answer in time") from None
        finally:
            inference.discard(picture)
        total_s = time.monotonic() - came_s
        span = current_span.get()
        span.child("decode", came_s, came_s + decode_s, {})
        tell_of_call(span, call)
        timing = wire.Timing(
            wait_ms=(call.started_s - came_s - decode_s) * 1000,
            decode_ms=decode_s * 1000,
            infer_ms=call.call_s * 1000,
            total_ms=total_s * 1000,
            batch_size=call.batch_size,
        )
        frame = EncodedFrame(_SOURCE, "", datetime.now(UTC), data)
        return wire.detections_json(frame, found, call.model, timing)

"""Where the frames of a stream meet the engine: pictures go in, outcomes come back."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from consumer.flight import FlyingFrame
from consumer.inference import EngineCall, Inference, Picture
from consumer.limits import Limit
from consumer.metrics import ConsumerMetrics
from consumer.model_host import Result
from framebus import wire
from framebus.bus import OutgoingRecord
from framebus.errors import DetectionError, FrameError
from framebus.frames import EncodedFrame, Frame


class Answers:
    """Hands decoded frames to the engine, and makes records of its detections.

    Args:
        inference: The engine stage.
        decoded: Where the memory of a picture is given back once the engine saw it.
        complete: Takes each frame with its outcome.
        reject: Takes each frame that cannot be processed, and why.
        metrics: The consumer's.
    """

    def __init__(
        self,
        *,
        inference: Inference,
        decoded: Limit,
        complete: Callable[[FlyingFrame, OutgoingRecord], None],
        reject: Callable[[FlyingFrame, FrameError], None],
        metrics: ConsumerMetrics,
    ) -> None:
        self._inference = inference
        self._decoded = decoded
        self._complete = complete
        self._reject = reject
        self._metrics = metrics

    def ask(self, flying: FlyingFrame, frame: Frame) -> None:
        """Queues a decoded frame for the engine; never blocks, as the frames in flight are bounded."""
        # Nothing but the engine's queue holds the picture, so its memory is free once the engine saw it.
        answer = partial(self._detected, flying, frame.encoded, frame.image.nbytes)
        self._inference.put(Picture(frame.image, answer))

    def _detected(
        self, flying: FlyingFrame, frame: EncodedFrame, decoded_bytes: int, result: Result, call: EngineCall
    ) -> None:
        self._metrics.decode.observe(flying.decode_s)
        self._decoded.give_back(decoded_bytes)
        frame = flying.trace.detected(flying, frame, call)
        if isinstance(result, DetectionError):
            self._reject(flying, result)
            return
        age = datetime.now(UTC) - frame.captured_at
        if age.total_seconds() < 0:
            self._metrics.future_frames.labels(self._metrics.camera(frame.camera_id)).inc()
        timing = wire.Timing(
            wait_ms=(call.started_s - flying.polled_at - flying.decode_s) * 1000,
            decode_ms=flying.decode_s * 1000,
            infer_ms=call.call_s * 1000,
            total_ms=max(age.total_seconds(), 0) * 1000,
            batch_size=call.batch_size,
        )
        flying.detections = len(result)
        self._complete(flying, wire.encode_detections(frame, result, call.model, timing))

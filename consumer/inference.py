"""Runs batches through the engine, on as many threads as the engine takes calls at once."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from consumer.batcher import Batcher
from consumer.flight import FlyingFrame
from consumer.limits import Limit
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from framebus import wire
from framebus.bus import OutgoingRecord
from framebus.errors import DetectionError, FrameError


class Inference:
    """The engine stage of one model; `run` is called by each of its threads.

    Args:
        host: The model.
        max_batch_delay_s: Longest wait of a batch's first frame for the others.
        decoded: Where the memory of a picture is given back once the engine saw it.
        complete: Takes each frame with its outcome.
        reject: Takes each frame that cannot be processed, and why.
        metrics: The consumer's.
        begins: Told of each engine call before it: its frames.
        ended: Told of each engine call: its frames, and its time in seconds.
    """

    def __init__(
        self,
        *,
        host: ModelHost,
        max_batch_delay_s: float,
        decoded: Limit,
        complete: Callable[[FlyingFrame, OutgoingRecord], None],
        reject: Callable[[FlyingFrame, FrameError], None],
        metrics: ConsumerMetrics,
        begins: Callable[[int], None],
        ended: Callable[[int, float], None],
    ) -> None:
        self._host = host
        self._decoded = decoded
        self._complete = complete
        self._reject = reject
        self._metrics = metrics
        self._begins = begins
        self._ended = ended
        self._batcher: Batcher[FlyingFrame] = Batcher(host.batch_size, max_batch_delay_s)

    def put(self, flying: FlyingFrame) -> None:
        """Queues a decoded frame; never blocks, as the frames in flight are bounded."""
        assert flying.frame is not None
        flying.queued_at = time.monotonic()
        self._batcher.put(self._host.batch_key(flying.frame.image), flying)

    def close(self) -> None:
        """Ends every `run` after what is queued."""
        self._batcher.close()

    def __len__(self) -> int:
        return len(self._batcher)

    def run(self) -> None:
        """Runs batches until closed."""
        while batch := self._batcher.take():
            self._run(batch)

    def _run(self, batch: list[FlyingFrame]) -> None:
        frames = [flying.frame for flying in batch if flying.frame is not None]
        model = self._host.in_force
        self._begins(len(batch))
        started_s = time.monotonic()
        results = self._host.detect([frame.image for frame in frames])
        infer_s = time.monotonic() - started_s
        self._ended(len(batch), infer_s)
        self._metrics.batch_size.labels(model.name).observe(len(batch))
        self._metrics.inference.labels(model.name).observe(infer_s)
        for flying, frame, result in zip(batch, frames, results, strict=True):
            self._metrics.decode.observe(flying.decode_s)
            self._metrics.batch_wait.labels(model.name).observe(started_s - flying.queued_at)
            flying.frame = None
            self._decoded.give_back(frame.image.nbytes)
            if isinstance(result, DetectionError):
                self._reject(flying, result)
                continue
            age = datetime.now(UTC) - frame.encoded.captured_at
            if age.total_seconds() < 0:
                self._metrics.future_frames.labels(self._metrics.camera(frame.encoded.camera_id)).inc()
            timing = wire.Timing(
                wait_ms=(started_s - flying.polled_at - flying.decode_s) * 1000,
                decode_ms=flying.decode_s * 1000,
                infer_ms=infer_s * 1000,
                total_ms=max(age.total_seconds(), 0) * 1000,
                batch_size=len(batch),
            )
            flying.detections = len(result)
            self._complete(flying, wire.encode_detections(frame.encoded, result, model, timing))

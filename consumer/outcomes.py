"""What becomes of a frame: detections, a dead letter, or on purpose nothing; and how that is counted."""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from consumer.dead_letter import DeadLetters
from consumer.flight import FlyingFrame
from consumer.metrics import ConsumerMetrics
from consumer.release import Release
from framebus.errors import FrameError, TooManyDeadLettersError


class Outcomes:
    """The ends that a frame of one model can come to.

    Args:
        model: The model.
        dead_letters: Makes dead letters.
        release: Publishes outcomes in order.
        landed: Takes each frame that has come to its end.
        dead_share: Watches over the share of dead letters.
        metrics: Where everything is counted.
    """

    def __init__(
        self,
        *,
        model: str,
        dead_letters: DeadLetters,
        release: Release,
        landed: Callable[[FlyingFrame], None],
        dead_share: "DeadShare",
        metrics: ConsumerMetrics,
    ) -> None:
        self._model = model
        self._dead_letters = dead_letters
        self._release = release
        self._landed = landed
        self._dead_share = dead_share
        self._metrics = metrics
        self.acknowledged_s = time.monotonic()
        """When the broker last acknowledged one, or one was left out."""

    def reject(self, flying: FlyingFrame, error: FrameError) -> None:
        """The frame cannot be processed."""
        self._release.complete(flying, self._dead_letters.write(flying, error))

    def drop(self, flying: FlyingFrame, reason: str) -> None:
        """The frame is left out, as its route says."""
        flying.drop_reason = reason
        if not flying.is_abandoned:  # else its new owner decides
            self._metrics.rates.dropped(flying.camera_id, self._model)
            self._metrics.dropped.labels(self._metrics.camera(flying.camera_id), self._model, reason).inc()
        # First: those behind it may be published at once, and are committed only together with it.
        flying.offsets.finish(flying.record.offset)
        self.acknowledged_s = time.monotonic()
        self._release.leave_out(flying)
        self._landed(flying)

    def acknowledged(self, flying: FlyingFrame) -> None:
        """The broker has what was published for the frame.

        Raises:
            TooManyDeadLettersError: It was one of too many.
        """
        camera = self._metrics.camera(flying.camera_id)
        if flying.error is not None:
            self._metrics.dead_letters.labels(camera, self._model, flying.error.reason).inc()
        elif flying.captured_at is not None:
            self._metrics.frames.labels(camera, self._model).inc()
            self._metrics.detections.labels(camera, self._model).inc(flying.detections)
            age_s = max((datetime.now(UTC) - flying.captured_at).total_seconds(), 0)
            self._metrics.rates.answered(flying.camera_id, self._model, age_s)
            self._metrics.end_to_end.labels(self._model).observe(age_s)
        flying.offsets.finish(flying.record.offset)
        self.acknowledged_s = time.monotonic()
        self._landed(flying)
        # Only here, as a frame that cannot be decoded overtakes those that wait for the engine.
        self._dead_share.count(flying.error)


class DeadShare:
    """Stops a process that would make dead letters of everything it reads.

    Args:
        max_share: Largest share of dead letters, of 1.
        window_frames: Of so many frames, the last ones.
    """

    def __init__(self, max_share: float, window_frames: int) -> None:
        self._max_share = max_share
        self._window_frames = window_frames
        self._last: deque[FrameError | None] = deque(maxlen=window_frames)

    def count(self, error: FrameError | None) -> None:
        """Counts a frame: why it became a dead letter, or None.

        Raises:
            TooManyDeadLettersError: The share of dead letters is larger than allowed.
        """
        self._last.append(error)
        if error is None or len(self._last) < self._window_frames:
            return
        dead = sum(one is not None for one in list(self._last))
        if dead > self._max_share * self._window_frames:
            raise TooManyDeadLettersError(
                f"{dead} of the last {self._window_frames} frames became dead letters, the last one because: "
                f"{error}; look at them with `framebus dead list` and mend the frames or the model; "
                "with FRAMEBUS_CONSUMER__MAX_DEAD_SHARE=1 the consumer goes on whatever happens"
            )

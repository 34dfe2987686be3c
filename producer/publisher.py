"""Publishes the frames that cameras left in the buffer, and learns what the broker says of them."""

import time
from functools import partial

from framebus import wire
from framebus.bus import BusProducer, Delivery
from framebus.errors import FrameTooLargeError
from framebus.frames import EncodedFrame
from producer.buffer import FrameBuffer
from producer.tally import Tally

# What is handed to the client can no longer make room for newer frames; this is enough to keep it busy.
_MAX_UNDELIVERED_FRAMES = 32
_MAX_UNDELIVERED_BYTES = 8 * 2**20
# How long a delivery report may lie unserved while no new frame comes.
_SERVE_INTERVAL_S = 0.005
_IDLE_INTERVAL_S = 0.1


class Publisher:
    """The publish stage; the one thread that calls it owns the producer.

    Args:
        producer: An idempotent producer, used by this stage alone.
        topic: Where frames go.
        buffer: Where they come from.
        tally: Learns of each frame once, when it was acknowledged or given up.
    """

    def __init__(self, producer: BusProducer, topic: str, buffer: FrameBuffer, tally: Tally) -> None:
        self._producer = producer
        self._topic = topic
        self._buffer = buffer
        self._tally = tally
        self._undelivered: dict[str, EncodedFrame] = {}
        self._undelivered_bytes = 0
        self._waiting_since_s: float | None = None
        self._closed = False

    def __len__(self) -> int:
        """Frames handed over and not acknowledged yet."""
        return len(self._undelivered)

    @property
    def stalled_s(self) -> float:
        """Seconds that the broker has kept frames waiting without taking any; 0 if it has them all."""
        since_s = self._waiting_since_s  # once: another thread asks
        return 0.0 if since_s is None else time.monotonic() - since_s

    def step(self) -> None:
        """Hands over the oldest frame and serves reports; waits a moment if there is nothing to do.

        Raises:
            TransportError: The bus failed for good.
        """
        if not self._has_room():
            self._producer.poll(_IDLE_INTERVAL_S)
            return
        frame = self._buffer.take(_SERVE_INTERVAL_S if self._undelivered else _IDLE_INTERVAL_S)
        accepted = frame is None or self._publish(frame)
        self._producer.poll(0 if accepted else _SERVE_INTERVAL_S)

    def _has_room(self) -> bool:
        return (
            len(self._undelivered) < _MAX_UNDELIVERED_FRAMES
            and self._undelivered_bytes < _MAX_UNDELIVERED_BYTES
        )

    def _publish(self, frame: EncodedFrame) -> bool:
        record = wire.encode_frame(frame, self._topic)
        try:
            accepted = self._producer.publish(record, partial(self._reported, frame))
        except FrameTooLargeError as error:
            self._tally.dropped(frame, error.reason, str(error))
            return True
        if not accepted:
            self._buffer.put_back(frame)
            return False
        if self._waiting_since_s is None:
            self._waiting_since_s = time.monotonic()
        self._undelivered[frame.frame_id] = frame
        self._undelivered_bytes += len(frame.data)
        return True

    def _reported(self, frame: EncodedFrame, delivery: Delivery) -> None:
        del self._undelivered[frame.frame_id]
        self._undelivered_bytes -= len(frame.data)
        if delivery.error is None or delivery.is_too_large:  # else the client itself gave the frame up
            self._waiting_since_s = time.monotonic() if self._undelivered else None
        if delivery.error is None:
            self._tally.published(frame)
        elif delivery.is_too_large:
            self._tally.dropped(frame, FrameTooLargeError.reason, delivery.error)
        else:
            self._tally.dropped(frame, "stopped" if self._closed else "not_delivered", delivery.error)

    def close(self) -> None:
        """Gives up what is not acknowledged, and closes the producer."""
        self._closed = True
        self._producer.close()
        for frame in self._undelivered.values():
            self._tally.dropped(frame, "stopped", "not acknowledged before the producer stopped")
        self._undelivered.clear()
        while (waiting := self._buffer.take(0)) is not None:
            self._tally.dropped(waiting, "stopped", "still waiting when the producer stopped")

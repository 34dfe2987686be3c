"""Publishes what became of each frame, and finishes its offset once the broker acknowledged it."""

from collections.abc import Callable
from queue import Empty, SimpleQueue

from consumer.flight import FlyingFrame
from framebus.bus import BusProducer, Delivery
from framebus.errors import FrameTooLargeError, TransportError

# How long a delivery report may lie unserved while nothing new comes to be published.
_SERVE_INTERVAL_S = 0.005
_IDLE_INTERVAL_S = 0.1


class Publisher:
    """The publish stage; its one thread owns the producer.

    Args:
        producer: An idempotent producer, used by this stage alone.
        acknowledged: Takes each frame once the broker has what was published for it.
        shrink: Gives a frame whose outcome is too large for its topic a smaller one.
    """

    def __init__(
        self,
        producer: BusProducer,
        *,
        acknowledged: Callable[[FlyingFrame], None],
        shrink: Callable[[FlyingFrame, FrameTooLargeError], None],
    ) -> None:
        self._producer = producer
        self._acknowledged = acknowledged
        self._shrink = shrink
        self._queue: SimpleQueue[FlyingFrame | None] = SimpleQueue()
        self._failure: TransportError | FrameTooLargeError | None = None

    def put(self, flying: FlyingFrame) -> None:
        """Queues a frame that has its outcome; never blocks, as the frames in flight are bounded."""
        self._queue.put(flying)

    def close(self) -> None:
        """Ends `run` after what is queued."""
        self._queue.put(None)

    def __len__(self) -> int:
        return self._queue.qsize()

    def run(self) -> None:
        """Publishes until closed, then closes the producer.

        Raises:
            TransportError: A record could not be delivered within the producer's own time-out.
            FrameTooLargeError: Not even what is left of a dead letter fits its topic.
        """
        try:
            self._publish_until_closed()
        finally:
            self._producer.close()

    def _publish_until_closed(self) -> None:
        while True:
            try:
                flying = self._queue.get(
                    timeout=_SERVE_INTERVAL_S if len(self._producer) else _IDLE_INTERVAL_S
                )
                if flying is None:
                    return
                self._publish(flying)
            except Empty:
                pass
            self._producer.poll(0)
            if self._failure is not None:
                raise self._failure

    def _publish(self, flying: FlyingFrame) -> None:
        assert flying.outcome is not None
        topic = flying.outcome.topic

        def delivered(delivery: Delivery) -> None:
            if delivery.error is None:
                self._acknowledged(flying)
            elif delivery.is_too_large:
                self._publish_smaller(flying, FrameTooLargeError(f"too large for {topic}: {delivery.error}"))
            else:
                self._failure = TransportError(f"a record for {topic} was not delivered: {delivery.error}")

        try:
            while not self._producer.publish(flying.outcome, delivered):
                self._producer.poll(_SERVE_INTERVAL_S)
                if self._failure is not None:
                    raise self._failure
        except FrameTooLargeError as error:
            self._publish_smaller(flying, error)

    def _publish_smaller(self, flying: FlyingFrame, error: FrameTooLargeError) -> None:
        try:
            self._shrink(flying, error)
        except FrameTooLargeError as hopeless:
            self._failure = hopeless
        else:
            self.put(flying)

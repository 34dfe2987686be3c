"""Frames that could not be processed, as they are published: whole if they fit, with the reason."""

from consumer.flight import FlyingFrame
from framebus.bus import OutgoingRecord
from framebus.dead_letters import encode_dead_letter
from framebus.errors import FrameError, FrameTooLargeError
from framebus.logs import get_logger
from framebus.settings import TopicSettings

# A dead letter of this size, without the picture, fits every topic that is of any use.
_SMALLEST_BYTES = 16_384

log = get_logger("consumer")


class DeadLetters:
    """Makes the dead letters of one model.

    Args:
        topics: Where they go, and how large they may be.
        model: The model that the frames were meant for.
    """

    def __init__(self, topics: TopicSettings, model: str) -> None:
        self._topics = topics
        self._model = model

    def write(self, flying: FlyingFrame, error: FrameError) -> OutgoingRecord:
        """The dead letter of a frame, which remembers the error from then on."""
        return self._write(flying, error, self._topics.max_message_bytes)

    def shrink(self, flying: FlyingFrame, error: FrameTooLargeError) -> None:
        """Makes a dead letter of what is too large to publish, and of a dead letter its smallest form.

        Raises:
            FrameTooLargeError: It has its smallest form already.
        """
        if flying.is_smallest:
            raise FrameTooLargeError(f"{error}; raise max.message.bytes of {self._topics.dead}") from error
        flying.is_smallest = flying.error is not None
        max_bytes = _SMALLEST_BYTES if flying.is_smallest else self._topics.max_message_bytes
        flying.outcome = self._write(flying, flying.error or error, max_bytes)

    def _write(self, flying: FlyingFrame, error: FrameError, max_bytes: int) -> OutgoingRecord:
        log.warning(
            "dead letter",
            camera=flying.camera_id,
            model=self._model,
            reason=error.reason,
            error=str(error),
            topic=flying.record.partition.topic,
            partition=flying.record.partition.number,
            offset=flying.record.offset,
        )
        flying.error = error
        return encode_dead_letter(
            flying.record, error, topic=self._topics.dead, model_name=self._model, max_bytes=max_bytes
        )

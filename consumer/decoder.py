"""Decodes frames before they are batched, so that a bad picture is rejected alone."""

import time
from collections.abc import Callable

from consumer.flight import FlyingFrame
from consumer.limits import Limit
from consumer.waiting import WaitingFrames
from framebus import images, wire
from framebus.errors import FrameError, FrameTooLargeError, UnknownModelError
from framebus.frames import EncodedFrame, Frame, Image


class Decoder:
    """The decode stage; `run` is called by each of its threads.

    Args:
        waiting: Where frames are taken from, until it is closed.
        max_bytes: Larger pictures are rejected unread.
        max_pixels: Larger pictures are rejected by their header.
        decoded: Bounds the decoded pictures in memory.
        accept: Takes each frame with its picture.
        reject: Takes each frame that cannot be processed, and why.
        drop: Takes each frame that is older than its route allows, and the reason's name.
    """

    def __init__(
        self,
        *,
        waiting: WaitingFrames,
        max_bytes: int,
        max_pixels: int,
        decoded: Limit,
        accept: Callable[[FlyingFrame, Frame], None],
        reject: Callable[[FlyingFrame, FrameError], None],
        drop: Callable[[FlyingFrame, str], None],
    ) -> None:
        self._waiting = waiting
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._decoded = decoded
        self._accept = accept
        self._reject = reject
        self._drop = drop

    def run(self) -> None:
        """Decodes until nothing waits any more."""
        while (flying := self._waiting.take()) is not None:
            if _is_too_old(flying):
                self._waiting.went_on()
                self._drop(flying, "too_old")
                continue
            self._decode(flying)

    def _decode(self, flying: FlyingFrame) -> None:
        try:
            encoded = wire.decode_frame(flying.record)
            flying.captured_at = encoded.captured_at
            image, flying.decode_s = self._picture(encoded, flying.route.models)
            flying.decoded_at = time.monotonic()
        except FrameError as error:
            self._waiting.went_on()
            self._reject(flying, error)
        else:
            self._accept(flying, Frame(encoded, image))

    def _picture(self, encoded: EncodedFrame, models: list[str]) -> tuple[Image, float]:
        if encoded.model is not None and encoded.model not in models:
            raise UnknownModelError(
                f"ce_model is {encoded.model[:100]!r}, and this topic's frames go to {', '.join(models)}; "
                "leave ce_model out, or add the model to the route"
            )
        if len(encoded.data) > self._max_bytes:
            raise FrameTooLargeError(
                f"the picture has {len(encoded.data)} bytes, and {self._max_bytes} is the most "
                "(FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES)"
            )
        width, height = images.checked_size(encoded.data, self._max_pixels)
        size_bytes = width * height * 3
        self._decoded.take_when_fits(size_bytes)
        started_s = time.monotonic()
        try:
            image = images.decode_checked(encoded.data)
        except FrameError:
            self._decoded.give_back(size_bytes)
            raise
        return image, time.monotonic() - started_s


def _is_too_old(flying: FlyingFrame) -> bool:
    limit_ms, written_ms = flying.route.max_frame_age_ms, flying.record.timestamp_ms
    # A record without a time has no age.
    return limit_ms is not None and written_ms > 0 and time.time() * 1000 - written_ms > limit_ms

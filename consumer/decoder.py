"""Decodes frames before they are batched, so that a bad picture is rejected alone."""

import time
from collections.abc import Callable
from queue import SimpleQueue

from consumer.flight import FlyingFrame
from consumer.limits import Limit
from framebus import images, wire
from framebus.errors import FrameError, UnknownModelError
from framebus.frames import EncodedFrame, Frame


class Decoder:
    """The decode stage; `run` is called by each of its threads.

    Args:
        model_name: The model that frames go to.
        max_pixels: Larger pictures are rejected by their header.
        decoded: Bounds the decoded pictures in memory.
        accept: Takes each decoded frame.
        reject: Takes each frame that cannot be processed, and why.
    """

    def __init__(
        self,
        *,
        model_name: str,
        max_pixels: int,
        decoded: Limit,
        accept: Callable[[FlyingFrame], None],
        reject: Callable[[FlyingFrame, FrameError], None],
    ) -> None:
        self._model_name = model_name
        self._max_pixels = max_pixels
        self._decoded = decoded
        self._accept = accept
        self._reject = reject
        self._queue: SimpleQueue[FlyingFrame | None] = SimpleQueue()

    def put(self, flying: FlyingFrame) -> None:
        """Queues a frame; never blocks, as the frames in flight are bounded."""
        self._queue.put(flying)

    def close(self) -> None:
        """Ends one `run` after what is queued."""
        self._queue.put(None)

    def __len__(self) -> int:
        return self._queue.qsize()

    def run(self) -> None:
        """Decodes until closed."""
        while (flying := self._queue.get()) is not None:
            try:
                encoded = wire.decode_frame(flying.record)
                flying.captured_at = encoded.captured_at
                flying.frame, flying.decode_s = self._decode(encoded)
            except FrameError as error:
                self._reject(flying, error)
            else:
                self._accept(flying)

    def _decode(self, encoded: EncodedFrame) -> tuple[Frame, float]:
        if encoded.model is not None and encoded.model != self._model_name:
            raise UnknownModelError(
                f"ce_model is {encoded.model[:100]!r}, and this consumer runs {self._model_name}; "
                "leave ce_model out, or run a consumer for that model"
            )
        width, height = images.checked_size(encoded.data, self._max_pixels)
        size_bytes = width * height * 3
        self._decoded.take_when_fits(size_bytes)
        started_s = time.monotonic()
        try:
            image = images.decode(encoded.data, self._max_pixels)
        except FrameError:
            self._decoded.give_back(size_bytes)
            raise
        return Frame(encoded, image), time.monotonic() - started_s

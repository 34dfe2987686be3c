"""Bounds on what the consumer holds at once, in frames and bytes."""

import threading


class Limit:
    """Counts frames and bytes that are held, and lets a thread wait until there is room again.

    Args:
        max_frames: Frames held at once.
        max_bytes: Bytes held at once. One frame always fits an empty limit, however large it is.
    """

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._frames = self._bytes = 0
        self._given_back = threading.Condition()
        # Else small frames would slip in for ever before a large one.
        self._turn = threading.Lock()

    @property
    def frames(self) -> int:
        """Frames held."""
        return self._frames

    @property
    def bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    def room(self) -> int:
        """Frames that may still come; 0 when frames or bytes are used up."""
        with self._given_back:
            return self._room()

    def _room(self) -> int:
        return max(0, self._max_frames - self._frames) if self._bytes < self._max_bytes else 0

    def take(self, size_bytes: int) -> None:
        """Counts a frame in, whether or not there is room."""
        with self._given_back:
            self._frames += 1
            self._bytes += size_bytes

    def take_when_fits(self, size_bytes: int) -> None:
        """Waits until a frame of this size fits, then counts it in; who waits first is served first."""
        with self._turn, self._given_back:
            self._given_back.wait_for(
                lambda: (
                    self._frames == 0
                    or (self._frames < self._max_frames and self._bytes + size_bytes <= self._max_bytes)
                )
            )
            self._frames += 1
            self._bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Counts a frame out."""
        with self._given_back:
            self._frames -= 1
            self._bytes -= size_bytes
            self._given_back.notify_all()

    def is_half_empty(self) -> bool:
        """Tells whether at least half of the frames, and of the bytes, may come."""
        with self._given_back:
            return 2 * self._frames <= self._max_frames and 2 * self._bytes <= self._max_bytes

    def wait_for_room(self, timeout_s: float) -> bool:
        """Waits until a frame may come, at most `timeout_s`; tells whether one may."""
        with self._given_back:
            return self._given_back.wait_for(lambda: self._room() > 0, timeout_s)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Waits until nothing is held, at most `timeout_s`; tells whether that is so."""
        with self._given_back:
            return self._given_back.wait_for(lambda: self._frames == 0, timeout_s)

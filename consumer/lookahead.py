"""How many pictures are decoded ahead of the engine where only the latest counts."""

import threading

# Decoded pictures are not replaced by newer ones: they age until the engine is free, and until its call ends.
_CALL_S = 0.15
# How much one call counts for against those before it.
_WEIGHT = 0.2
# Smaller batches end sooner, but where a call costs much by itself they cost throughput: so much must stay.
_KEPT_RATE = 0.6


class Lookahead:
    """As many pictures as the engine serves in one call of some 0.15 s; they make the next batch.

    Args:
        most: The engine's preferred batch size.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames_per_s: dict[int, float] = {}
        self._lock = threading.Lock()
        self.frames = most
        """Pictures to decode ahead."""

    def observe(self, frames: int, call_s: float) -> None:
        """Takes note of an engine call, of so many frames; called by every thread that calls the engine."""
        rate = frames / max(call_s, 1e-9)
        with self._lock:
            known = self._frames_per_s.get(frames, rate)
            self._frames_per_s[frames] = known + _WEIGHT * (rate - known)
            if call_s > _CALL_S:
                self.frames = self._worth_while(max(int(frames * _CALL_S / call_s), 1))
            elif frames >= self.frames:
                self.frames = min(self.frames + 1, self._most)

    def _worth_while(self, frames: int) -> int:
        """A batch of this size, or the next larger one that keeps the rate; one never seen is worth a try."""
        enough = _KEPT_RATE * max(self._frames_per_s.values())
        if self._frames_per_s.get(frames, enough) >= enough:
            return frames
        larger = (size for size, rate in self._frames_per_s.items() if size > frames and rate >= enough)
        return min(larger, default=frames)

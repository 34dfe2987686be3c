"""How many pictures are decoded ahead of the engine where only the latest counts."""

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
        self.frames = most
        """Pictures to decode ahead."""

    def observe(self, frames: int, call_s: float) -> None:
        """Takes note of an engine call, of so many frames."""
        rate = frames / max(call_s, 1e-9)
        known = self._frames_per_s.get(frames, rate)
        self._frames_per_s[frames] = known + _WEIGHT * (rate - known)
        if call_s <= _CALL_S:
            if frames >= self.frames:
                self.frames = min(self.frames + 1, self._most)
        else:
            # One fewer than is known to be good, to see whether that is good as well.
            self.frames = max(int(frames * _CALL_S / call_s), self._fewest() - 1, 1)

    def _fewest(self) -> int:
        enough = _KEPT_RATE * max(self._frames_per_s.values())
        return min(frames for frames, rate in self._frames_per_s.items() if rate >= enough)

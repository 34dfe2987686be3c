"""How many pictures are decoded ahead of the engine where only the latest counts."""

from consumer.limits import Limit

# Decoded pictures are not replaced by newer ones. Before their detections are known they age by their number
# divided by the rate at which they are served (Little's law).
_AHEAD_S = 0.2
# How much one call counts for against those before it.
_WEIGHT = 0.2


class Lookahead:
    """Lets no more pictures be decoded than the engine serves in a fifth of a second, as it has been of late.

    Args:
        decoded: The limit that is set.
        concurrency: Engine calls at once. At least one picture for each, and one more, are decoded.
        most: Pictures decoded at once however fast the engine is.
    """

    def __init__(self, decoded: Limit, concurrency: int, most: int) -> None:
        self._decoded = decoded
        self._concurrency = concurrency
        self._most = most
        self._call_s_per_frame: float | None = None

    def observe(self, frames: int, call_s: float) -> None:
        """Takes note of an engine call; may be called by several threads, for an estimate needs no more."""
        latest = call_s / frames
        known = latest if self._call_s_per_frame is None else self._call_s_per_frame
        self._call_s_per_frame = known + _WEIGHT * (latest - known)
        served = _AHEAD_S * self._concurrency / max(self._call_s_per_frame, 1e-9)
        self._decoded.resize(int(min(max(served, self._concurrency + 1), self._most)))

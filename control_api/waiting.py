"""Waiting for what threads and workers report."""

import asyncio
import time
from collections.abc import Callable

_INTERVAL_S = 0.02


async def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Waits until a condition holds; returns whether it came to that in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        await asyncio.sleep(_INTERVAL_S)
    return True

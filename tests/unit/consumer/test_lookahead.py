import random
import sys
import threading
from collections.abc import Callable

import pytest

from consumer.lookahead import Lookahead


def settled(call_s: Callable[[int], float], most: int = 8) -> list[int]:
    """The bounds after many calls, each of as many frames as were allowed."""
    lookahead = Lookahead(most)
    bounds = []
    for _ in range(200):
        lookahead.observe(lookahead.frames, call_s(lookahead.frames))
        bounds.append(lookahead.frames)
    return bounds[-20:]


@pytest.mark.parametrize(
    ("call_s", "fewest", "most"),
    [
        (lambda frames: 0.02 + 0.002 * frames, 8, 8),  # quick: whole batches
        (lambda frames: 0.05 * frames, 2, 4),  # each picture takes its time: a batch takes 0.15 s
        (lambda frames: 2.0 * frames, 1, 2),  # slow: one by one
        (lambda _: 0.14, 8, 8),  # a call takes its time however many pictures it has: whole batches
        (lambda _: 0.5, 8, 8),  # the same beyond the limit
        (lambda frames: 0.2 + 0.02 * frames, 4, 8),  # most of it: the throughput stays
    ],
)
def test_a_batch_is_as_large_as_freshness_allows_and_throughput_needs(
    call_s: Callable[[int], float], fewest: int, most: int
) -> None:
    bounds = settled(call_s)

    assert fewest <= min(bounds)
    assert max(bounds) <= most


def test_an_engine_that_gets_faster_gets_larger_batches_again() -> None:
    lookahead = Lookahead(8)
    for _ in range(50):
        lookahead.observe(lookahead.frames, 0.2 * lookahead.frames)
    assert lookahead.frames <= 2
    for _ in range(50):
        lookahead.observe(lookahead.frames, 0.005 * lookahead.frames)
    assert lookahead.frames == 8


def test_several_threads_tell_of_their_calls() -> None:
    failures: list[BaseException] = []

    def call(lookahead: Lookahead) -> None:
        try:
            for frames in random.sample(range(1, 65), 64):
                lookahead.observe(frames, 0.2 + 0.01 * frames * random.random())
        except BaseException as error:
            failures.append(error)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            lookahead = Lookahead(64)
            threads = [threading.Thread(target=call, args=(lookahead,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval_s)

    assert failures == []

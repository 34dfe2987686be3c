import pytest

from consumer.limits import Limit
from consumer.lookahead import Lookahead


def room_after(calls: list[tuple[int, float]], *, concurrency: int = 2, most: int = 24) -> int:
    decoded = Limit(1_000, 10**9)
    lookahead = Lookahead(decoded, concurrency, most)
    for frames, call_s in calls:
        lookahead.observe(frames, call_s)
    return decoded.room()


@pytest.mark.parametrize(
    ("calls", "room"),
    [
        ([(8, 0.32)], 10),  # two calls at once, 8 pictures in 0.32 s each: 50 a second, 10 in a fifth of one
        ([(1, 2.0)], 3),  # a slow engine: one for each call, and the next
        ([(8, 0.001)], 24),  # a fast one: not without bounds
        ([(1, 0.0)], 24),
    ],
)
def test_as_many_are_decoded_as_the_engine_serves_in_a_moment(
    calls: list[tuple[int, float]], room: int
) -> None:
    assert room_after(calls) == room


def test_it_follows_the_engines_rate_and_not_one_call() -> None:
    steady = [(8, 0.32)] * 20
    assert room_after([*steady, (1, 0.4)]) in range(3, 10)
    assert room_after([*steady, (1, 0.4), *steady]) == pytest.approx(10, abs=1)

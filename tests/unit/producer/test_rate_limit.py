import random
from itertools import pairwise

import pytest

from producer.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def let_through(max_fps: float | None, times_s: list[float]) -> list[float]:
    clock = Clock()
    limit = RateLimit(max_fps, clock)
    clock.now_s += 1
    passed_s = []
    for time_s in times_s:
        clock.now_s = 1_001 + time_s
        if limit.allows():
            passed_s.append(time_s)
    return passed_s


def test_without_a_limit_everything_passes() -> None:
    times_s = [0.0, 0.0, 0.001, 5]

    assert let_through(None, times_s) == times_s


def test_every_fifth_picture_of_25_a_second_makes_5_a_second() -> None:
    times_s = [number / 25 for number in range(250)]

    assert let_through(5, times_s) == pytest.approx([number / 5 for number in range(50)])


@pytest.mark.parametrize("source_fps", [7, 10, 24, 29.97, 60])
def test_the_rate_is_met_though_pictures_come_a_little_out_of_step(source_fps: float) -> None:
    chance = random.Random(1)
    times_s = sorted(
        number / source_fps + chance.uniform(-0.01, 0.01) for number in range(int(60 * source_fps))
    )

    assert len(let_through(5, times_s)) == pytest.approx(300, abs=3)


def test_a_camera_below_the_limit_loses_nothing() -> None:
    chance = random.Random(1)
    times_s = sorted(number / 4 + chance.uniform(-0.02, 0.02) for number in range(200))

    assert let_through(5, times_s) == times_s


def test_silence_lets_no_burst_through_afterwards() -> None:
    burst_s = [0.0, *(60 + number / 1_000 for number in range(1_000))]

    passed_s = let_through(5, burst_s)

    assert passed_s[:2] == [0, 60]
    assert min(later_s - sooner_s for sooner_s, later_s in pairwise(passed_s)) >= 0.17

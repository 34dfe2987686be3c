import pytest

from producer.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def go_out(pace: Pace, clock: Clock, pictures: int, *, lasts_s: float, work_s: float = 0.0) -> list[float]:
    """Plays pictures that each take `work_s` to read; returns when each went out."""
    times_s = []
    for _ in range(pictures):
        clock.now_s += work_s
        clock.now_s += pace.wait_s(lasts_s)
        times_s.append(clock.now_s)
    return times_s


def test_the_time_it_takes_to_read_a_picture_does_not_add_up(clock: Clock) -> None:
    times_s = go_out(Pace(clock), clock, 1_000, lasts_s=0.04, work_s=0.03)

    assert times_s[-1] - 1_000 == pytest.approx(999 * 0.04, abs=1e-6)


def test_a_short_delay_is_made_up_for(clock: Clock) -> None:
    pace = Pace(clock)
    go_out(pace, clock, 10, lasts_s=0.1)
    clock.now_s += 0.4

    late_s = go_out(pace, clock, 10, lasts_s=0.1)

    assert late_s[:4] == pytest.approx([1_001.3] * 4)
    assert late_s[-1] == pytest.approx(1_000 + 19 * 0.1)


def test_after_a_long_delay_time_is_kept_from_there(clock: Clock) -> None:
    pace = Pace(clock)
    go_out(pace, clock, 10, lasts_s=0.1)
    clock.now_s += 60
    resumed_s = clock.now_s

    assert go_out(pace, clock, 5, lasts_s=0.1) == pytest.approx(
        [resumed_s, *(resumed_s + number * 0.1 for number in range(1, 5))]
    )


def test_pictures_of_a_live_camera_never_wait(clock: Clock) -> None:
    pace = Pace(clock)

    for passed_s in (0, 0.2, 7, 0):
        clock.now_s += passed_s
        assert pace.wait_s(0) == 0


def test_a_picture_is_overdue_from_its_time_on(clock: Clock) -> None:
    pace = Pace(clock)
    pace.wait_s(2)

    assert pace.overdue_s == 0
    clock.now_s += 1.5
    assert pace.overdue_s == 0
    clock.now_s += 1.5
    assert pace.overdue_s == 1

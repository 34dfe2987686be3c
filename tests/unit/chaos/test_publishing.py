import time

from tests.chaos.publishing import ahead_of, steadily


def test_a_steady_pace_keeps_to_the_clock() -> None:
    before_s = time.monotonic()
    is_due = steadily(1_000.0)

    while not is_due(50):
        time.sleep(0.001)

    assert time.monotonic() - before_s >= 0.05


def test_frames_are_published_so_many_ahead_of_those_that_are_finished() -> None:
    finished = 0
    is_due = ahead_of(lambda: finished, 10)

    assert [is_due(number) for number in (0, 9, 10)] == [True, True, False]
    finished = 5
    assert [is_due(number) for number in (14, 15)] == [True, False]

import pytest

from framebus.backoff import Backoff


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(30, first_s=1, chance=lambda: 0.0)

    assert [backoff.wait_s() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("chance", "share"), [(0.0, 1), (0.5, 0.75), (1.0, 0.5)])
def test_chance_takes_up_to_half_of_each_wait(chance: float, share: float) -> None:
    backoff = Backoff(30, chance=lambda: chance)

    assert [backoff.wait_s() for _ in range(8)] == [
        share * wait_s for wait_s in (0.5, 1, 2, 4, 8, 16, 30, 30)
    ]


def test_after_a_success_the_next_wait_is_short_again() -> None:
    backoff = Backoff(30, first_s=1, chance=lambda: 0.0)
    for _ in range(5):
        backoff.wait_s()

    backoff.reset()

    assert [backoff.wait_s(), backoff.wait_s()] == [1, 2]


def test_a_small_cap_holds_from_the_first_wait_on() -> None:
    backoff = Backoff(0.1, chance=lambda: 0.0)

    assert [backoff.wait_s(), backoff.wait_s()] == [0.1, 0.1]


def test_two_that_failed_together_are_not_tried_together() -> None:
    first, second = Backoff(30), Backoff(30)

    assert [first.wait_s() for _ in range(5)] != [second.wait_s() for _ in range(5)]

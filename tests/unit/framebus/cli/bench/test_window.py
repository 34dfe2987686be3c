import threading
import time

import pytest

from framebus.cli.bench.window import CallCost, call_cost


def test_calls_are_numbered_and_their_time_is_told() -> None:
    numbers: list[int] = []

    def call(number: int) -> None:
        numbers.append(number)
        time.sleep(0.01)

    began_s = time.perf_counter()
    cost = call_cost(call, seconds=0.1)
    took_s = time.perf_counter() - began_s
    assert numbers == list(range(len(numbers)))
    assert 0.01 <= cost.wall_s <= took_s / (len(numbers) - 1)
    assert took_s >= 0.1


def test_cpu_time_is_that_of_the_calls_and_not_of_waiting() -> None:
    def busy(_: int) -> None:
        end_s = time.thread_time() + 0.02
        while time.thread_time() < end_s:
            pass

    assert call_cost(busy, seconds=0.05).cpu_s >= 0.02
    assert call_cost(lambda _: time.sleep(0.05), seconds=0.1).cpu_s < 0.05


def test_the_first_call_is_not_measured() -> None:
    def call(number: int) -> None:
        time.sleep(0.001 if number else 1.0)

    assert call_cost(call, seconds=0.2).wall_s < 0.2


def test_a_call_that_ends_after_the_window_is_not_measured() -> None:
    def call(number: int) -> None:
        time.sleep(2.0 if number == 1 else 0.02)

    assert call_cost(call, seconds=0.05, calls_at_once=2).wall_s < 0.3


def test_one_call_that_takes_longer_than_the_window_is_measured_whole() -> None:
    assert call_cost(lambda _: time.sleep(0.05), seconds=0.001).wall_s >= 0.05


def test_so_many_calls_run_at_once() -> None:
    inside: list[int] = []
    all_inside = threading.Event()

    def call(number: int) -> None:
        inside.append(number)
        if len(inside) == 3:
            all_inside.set()
        assert all_inside.wait(60)

    call_cost(call, seconds=0.001, calls_at_once=3)
    assert all_inside.is_set()


def test_calls_at_once_share_the_wall_clock() -> None:
    assert call_cost(lambda _: time.sleep(0.1), seconds=0.5, calls_at_once=8).wall_s < 0.1


def test_what_a_call_raises_is_raised() -> None:
    def call(number: int) -> None:
        if number == 5:
            raise ValueError("the fifth")

    with pytest.raises(ValueError, match="the fifth"):
        call_cost(call, seconds=60, calls_at_once=2)


def test_figures_of_an_image_are_shares_of_its_call() -> None:
    assert CallCost(wall_s=0.2, cpu_s=0.4).per_image(8) == {
        "ms_per_image": pytest.approx(25),
        "fps": pytest.approx(40),
        "cpu_ms_per_image": pytest.approx(50),
    }

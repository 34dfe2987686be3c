from collections.abc import Callable, Mapping

import pytest

from framebus.cli.bench.rounds import Case, measure_in_turn, ratios, summary


def scripted(name: str, fps: list[float], calls: list[str]) -> Case:
    values = iter(fps)

    def measure() -> Mapping[str, float]:
        calls.append(name)
        return {"fps": next(values)}

    return Case(name, measure)


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def cases(calls: list[str]) -> list[Case]:
    return [scripted("raw", [10, 20, 30], calls), scripted("auto", [40, 20, 90], calls)]


def test_every_round_measures_each_case_once_in_alternating_order(
    cases: list[Case], calls: list[str]
) -> None:
    measure_in_turn(cases, rounds=3)
    assert calls == ["raw", "auto", "auto", "raw", "raw", "auto"]


def test_values_are_kept_by_case_and_round(cases: list[Case]) -> None:
    raw, auto = measure_in_turn(cases, rounds=3)
    assert raw.values == {"fps": [10, 20, 30]}
    assert auto.case is cases[1]
    assert auto.median("fps") == 40
    assert auto.spread("fps") == (20, 90)


def test_ratios_are_taken_round_by_round(cases: list[Case]) -> None:
    raw, auto = measure_in_turn(cases, rounds=3)
    assert ratios(auto, raw, "fps") == [4, 1, 3]  # their median is 3, and that of the medians 2


def test_progress_tells_what_comes_next(cases: list[Case]) -> None:
    told: list[tuple[int, int, str]] = []
    record: Callable[[int, int, str], None] = lambda *step: told.append(step)  # noqa: E731
    measure_in_turn(cases, rounds=2, progress=record)
    assert told == [(0, 4, "raw"), (1, 4, "auto"), (2, 4, "auto"), (3, 4, "raw"), (4, 4, "")]


def test_a_summary_is_the_median_and_the_spread() -> None:
    assert summary("fps", [3, 1, 5]) == {"fps": 3, "fps_least": 1, "fps_most": 5}

"""Everything that is compared is measured in turn, in one run, and compared round by round.

A machine drifts by more from one minute to the next than what is compared may differ.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Progress = Callable[[int, int, str], None]
"""Is told how many measurements are done, of how many, and what is measured next (empty at the end)."""


def no_progress(_done: int, _of: int, _next: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Case:
    """One of several things that are compared.

    Attributes:
        name: For the reader.
        measure: Takes one measurement, and returns its figures by name, with their units in the names.
    """

    name: str
    measure: Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a case's measurements gave.

    Attributes:
        case: Which.
        values: By a figure's name, one value a round.
    """

    case: Case
    values: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """The median over the rounds of one figure."""
        return statistics.median(self.values[name])

    def spread(self, name: str) -> tuple[float, float]:
        """The least and the most of one figure."""
        return min(self.values[name]), max(self.values[name])


def measure_in_turn(cases: Sequence[Case], rounds: int, progress: Progress = no_progress) -> list[Measured]:
    """Measures every case once a round; every other round in reversed order, so that none is always first.

    Returns:
        One for each case, in the same order.
    """
    measured = [Measured(case) for case in cases]
    done, total = 0, rounds * len(cases)
    for number in range(rounds):
        for one in measured if number % 2 == 0 else reversed(measured):
            progress(done, total, one.case.name)
            for name, value in one.case.measure().items():
                one.values.setdefault(name, []).append(value)
            done += 1
    progress(done, total, "")
    return measured


def ratios(measured: Measured, reference: Measured, name: str) -> list[float]:
    """How many times the reference's figure each round gave; within a round, drift of the machine cancels."""
    pairs = zip(measured.values[name], reference.values[name], strict=True)
    return [value / of_reference for value, of_reference in pairs]


def summary(name: str, values: Sequence[float]) -> dict[str, float]:
    """The columns of a row for one figure: its median as `name`, and `name_least` and `name_most`."""
    return {
        name: statistics.median(values),
        f"{name}_least": min(values),
        f"{name}_most": max(values),
    }

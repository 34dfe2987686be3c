"""What came of hostile input: how many of each kind were accepted or refused, and what went wrong."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.mutation.trial import ACCEPTED

CRASH, HANG, FAULT = "crash", "hang", "fault"


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that was neither accepted nor refused as it should be.

    Attributes:
        what: `crash`, `hang`, or `fault`: another exception, another outcome the second time, too much time
            or memory, or a promise broken.
        target: Where.
        kind: How the input was made.
        again: The command that tries this very input again.
        input_file: Where it was saved.
        detail: What was seen of it, in many lines.
    """

    what: str
    target: str
    kind: str
    again: str
    input_file: str
    detail: str

    def __str__(self) -> str:
        return (
            f"{self.what} in {self.target} ({self.kind}): {self.input_file}\n"
            f"  again with: {self.again}\n  {self.detail.strip()}"
        )


@dataclass(slots=True)
class TargetReport:
    """What came of the inputs of one target.

    Attributes:
        target: Which.
        outcomes: How many inputs of each kind (first) had which outcome (second).
        failures: What went wrong.
        seconds: Processor time.
        grown_bytes: How much larger a process became between its first input and its last, at most.
    """

    target: str
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0
    grown_bytes: int = 0

    @property
    def tried(self) -> int:
        """Inputs tried."""
        return self.outcomes.total()

    @property
    def accepted(self) -> int:
        """Inputs that were accepted."""
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome == ACCEPTED)

    @property
    def refused(self) -> Counter[str]:
        """Inputs that were refused, by reason."""
        reasons: Counter[str] = Counter()
        for (_, outcome), count in self.outcomes.items():
            if outcome not in (ACCEPTED, CRASH, HANG, FAULT):
                reasons[outcome] += count
        return reasons

    @property
    def kinds(self) -> Counter[str]:
        """Inputs of each kind."""
        kinds: Counter[str] = Counter()
        for (kind, _), count in self.outcomes.items():
            kinds[kind] += count
        return kinds

    def add(self, other: "TargetReport") -> None:
        """Takes in what came of more inputs of the same target."""
        self.outcomes += other.outcomes
        self.failures += other.failures
        self.seconds += other.seconds
        self.grown_bytes = max(self.grown_bytes, other.grown_bytes)

    def count(self, what: str) -> int:
        """How many crashes, hangs or faults there were."""
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome == what)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it all.

    Attributes:
        seed: What every input follows from.
        targets: Each target's part.
    """

    seed: int
    targets: tuple[TargetReport, ...]

    @property
    def tried(self) -> int:
        """Inputs tried."""
        return sum(target.tried for target in self.targets)

    @property
    def crashes(self) -> int:
        """Inputs that ended the process that read them."""
        return self.count(CRASH)

    @property
    def hangs(self) -> int:
        """Inputs that were read without end."""
        return self.count(HANG)

    @property
    def failures(self) -> list[Failure]:
        """All that went wrong: crashes, hangs and faults."""
        return [failure for target in self.targets for failure in target.failures]

    def count(self, what: str) -> int:
        """How many crashes, hangs or faults there were."""
        return sum(target.count(what) for target in self.targets)

    def as_text(self) -> str:
        """A table, a line for each target, and the failures behind it."""
        lines = [_line("", "tried", "accepted", "crashes", "hangs", "faults", "seconds", "refused")]
        lines += [_line(*row) for row in self._rows()]
        return "\n".join([*lines, *(f"\n{failure}" for failure in self.failures)])

    def as_json(self) -> dict[str, Any]:
        """All of it, kinds too."""
        return {
            "seed": self.seed,
            "tried": self.tried,
            "crashes": self.crashes,
            "hangs": self.hangs,
            "faults": self.count(FAULT),
            "targets": [
                {
                    "target": target.target,
                    "tried": target.tried,
                    "accepted": target.accepted,
                    "refused": target.refused,
                    "crashes": target.count(CRASH),
                    "hangs": target.count(HANG),
                    "faults": target.count(FAULT),
                    "seconds": round(target.seconds, 1),
                    "grown_bytes": target.grown_bytes,
                    "kinds": {
                        kind: {
                            outcome: count for (of, outcome), count in target.outcomes.items() if of == kind
                        }
                        for kind in sorted(target.kinds)
                    },
                }
                for target in self.targets
            ],
            "failures": [str(failure) for failure in self.failures],
        }

    def _rows(self) -> Iterator[tuple[object, ...]]:
        for target in self.targets:
            reasons = ", ".join(f"{count} {reason}" for reason, count in target.refused.most_common())
            bad = [target.count(what) for what in (CRASH, HANG, FAULT)]
            yield target.target, target.tried, target.accepted, *bad, f"{target.seconds:.1f}", reasons
        bad = [self.count(what) for what in (CRASH, HANG, FAULT)]
        accepted = sum(target.accepted for target in self.targets)
        seconds = f"{sum(target.seconds for target in self.targets):.1f}"
        yield "all", self.tried, accepted, *bad, seconds, f"{self.tried - accepted - sum(bad)} in all"


def _line(target: object, *cells: object) -> str:
    *numbers, refused = cells
    return f"{target!s:14}" + "".join(f"{number!s:>9}" for number in numbers) + f"  {refused}"

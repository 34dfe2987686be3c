"""The figures in docs/reliability.md: one row for each scenario and delivery, between two marks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Delivery, Finding

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_BEGIN, _END = "<!-- written by `make chaos` -->", "<!-- end of what is written by `make chaos` -->"
_HEAD = (
    "| scenario | delivery | measured | what was done | frames | lost | duplicates | out of order | more |",
    "| --- | --- | --- | --- | ---: | ---: | --- | ---: | --- |",
)
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Result:
    """A finding, and of what.

    Attributes:
        scenario: Its name.
        delivery: What was guaranteed; None where both are compared, or neither matters.
        date: The day, as in 2026-01-31.
        machine: What it ran on, in words.
        finding: What was found.
    """

    scenario: Scenario
    delivery: Delivery | None
    date: str
    machine: str
    finding: Finding

    def as_json(self) -> Mapping[str, Any]:
        """All of it."""
        return asdict(self)

    def as_row(self) -> str:
        """A line of the table."""
        found = self.finding.account
        frames: Sequence[object] = (_NONE,) * 4
        if found is not None:
            told = f", {found.recognisable} told by `ce_id`" if found.duplicates else ""
            frames = (found.published, found.lost, f"{found.duplicates}{told}", found.out_of_order)
        more = [f"{what}: {figure}" for what, figure in self.finding.figures.items()]
        more += [f"**broken: {fault}**" for fault in self.finding.broken]
        cells = [
            self.scenario,
            self.delivery or _NONE,
            f"{self.date}, {self.machine}",
            self.finding.done,
            *frames,
            "<br>".join(more),
        ]
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def write(results: Sequence[Result], page: Path = PAGE) -> None:
    """Puts results in place of the earlier ones of their scenario and delivery; the others stay."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    table, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the marks {_BEGIN} and {_END}")
    rows = {_key(line): line for line in table.splitlines() if line.startswith("| ") and line not in _HEAD}
    for result in results:
        row = result.as_row()
        rows[_key(row)] = row
    lines = [before + begin, "", *_HEAD, *(rows[key] for key in sorted(rows, key=_place)), "", end + after]
    page.write_text("\n".join(lines), encoding="utf-8")


def _key(row: str) -> tuple[str, str]:
    _, scenario, delivery, *_ = (cell.strip() for cell in row.split("|"))
    return scenario, delivery


def _place(key: tuple[str, str]) -> tuple[int, int]:
    scenario, delivery = key
    return list(Scenario).index(Scenario(scenario)), [_NONE, *Delivery].index(delivery)

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.accounting import Account
from tests.chaos.page import PAGE, Result, write
from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Delivery, Finding

FOUND = Account(published=900, lost=0, dead=0, duplicates=7, recognisable=7, out_of_order=0, wrong=0)
RESULT = Result(
    Scenario.KILL,
    Delivery.AT_LEAST_ONCE,
    "2026-01-31",
    "2 cores, Apache Kafka 4.4.0",
    Finding("killed | twenty times", FOUND, {"silence, s": 12.5}),
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The real page, without figures."""
    copy = tmp_path / "reliability.md"
    copy.write_text("\n".join(line for line in PAGE.read_text().splitlines() if not line.startswith("| ")))
    return copy


def rows(page: Path) -> list[str]:
    return [line for line in page.read_text().splitlines() if line.startswith(("| kill", "| soak"))]


def test_a_row_has_all_that_was_found(page: Path) -> None:
    write([RESULT], page)

    [row] = rows(page)
    assert "at_least_once" in row
    assert "2026-01-31, 2 cores, Apache Kafka 4.4.0" in row
    assert "killed \\| twenty times | 900 | 0 | 7, 7 told by `ce_id` | 0 | silence, s: 12.5" in row


def test_new_figures_replace_those_of_the_same_scenario_and_delivery_only(page: Path) -> None:
    others = [
        replace(RESULT, delivery=Delivery.EXACTLY_ONCE),
        replace(RESULT, scenario=Scenario.SOAK, delivery=None),
    ]
    before = page.read_text()
    write([RESULT, *others], page)
    kept = rows(page)[1:]

    write([replace(RESULT, date="2026-02-01")], page)

    first, *rest = rows(page)
    assert "2026-02-01" in first
    assert rest == kept
    assert page.read_text().startswith(before.partition("<!--")[0])


def test_rows_stand_in_the_order_of_the_scenarios(page: Path) -> None:
    write([replace(RESULT, scenario=Scenario.SOAK)], page)
    write([replace(RESULT, delivery=Delivery.EXACTLY_ONCE)], page)
    write([RESULT], page)

    assert [row.split(" | ")[:2] for row in rows(page)] == [
        ["| kill", "at_least_once"],
        ["| kill", "exactly_once"],
        ["| soak", "at_least_once"],
    ]


def test_a_broken_guarantee_is_on_the_page(page: Path) -> None:
    write([replace(RESULT, finding=replace(RESULT.finding, broken=["3 frames lost"]))], page)

    assert "**broken: 3 frames lost**" in page.read_text()


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Nothing")

    with pytest.raises(ValueError, match="lacks the marks"):
        write([RESULT], page)

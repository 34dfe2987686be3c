"""A hundred thousand hostile inputs: none may crash or hang what reads it, or get anything but its due."""

import pytest

from tests.mutation import Report, run
from tests.mutation.run import SHARES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_FAIR_SHARE = 0.1
_MOST_GROWTH_BYTES = 200 * 2**20


@pytest.fixture(scope="module")
def report() -> Report:
    return run()


def test_hostile_input_is_accepted_or_refused_as_the_contracts_say(report: Report) -> None:
    assert not report.failures, report.as_text()
    assert (report.crashes, report.hangs) == (0, 0)
    assert report.tried >= 100_000


@pytest.mark.parametrize("name", SHARES)
def test_of_each_target_a_fair_share_is_accepted_and_a_fair_share_refused(report: Report, name: str) -> None:
    (target,) = (target for target in report.targets if target.target == name)

    assert target.accepted >= _FAIR_SHARE * target.tried, report.as_text()
    assert target.refused.total() >= _FAIR_SHARE * target.tried, report.as_text()


@pytest.mark.parametrize("name", SHARES)
def test_no_reader_keeps_what_it_read(report: Report, name: str) -> None:
    (target,) = (target for target in report.targets if target.target == name)

    assert target.grown_bytes < _MOST_GROWTH_BYTES

"""Whether the tool notices what it looks for: a target that fails in every way there is."""

from itertools import count
from pathlib import Path

import pytest

from tests.mutation.report import CRASH, FAULT, HANG
from tests.mutation.run import run
from tests.mutation.shard import made
from tests.mutation.targets import target
from tests.mutation.watch import Shard, watch

SEED = 7


def kind_of(number: int) -> str:
    return made(target("failing"), "failing", SEED, number).kind


def first(*kinds: str) -> int:
    """The number of the first input of these kinds, one behind the other."""
    return next(n for n in count() if all(kind_of(n + i) == kind for i, kind in enumerate(kinds)))


@pytest.mark.parametrize(
    ("kind", "what", "detail"),
    [
        ("crash", CRASH, "SIGABRT"),
        ("hang", HANG, "no word for 5 s"),
        ("another exception", FAULT, "KeyError"),
        ("panic", FAULT, "BaseException"),
        ("broken promise", FAULT, "accepted what it should not"),
        ("two outcomes", FAULT, "two outcomes of one input"),
        ("endless message", FAULT, "a message of 7000 characters"),
        ("too much memory", FAULT, "MiB of memory"),
    ],
)
def test_what_goes_wrong_is_told_with_the_input_that_did_it(
    kind: str, what: str, detail: str, tmp_path: Path
) -> None:
    number = first(kind)

    # What does not hang may take as long as it likes to start.
    report = watch(Shard("failing", SEED, number, number + 1), tmp_path, 5 if kind == "hang" else 60)

    assert report.outcomes == {(kind, what): 1}
    (failure,) = report.failures
    assert (failure.what, failure.kind) == (what, kind)
    assert detail in failure.detail
    assert failure.again.endswith(f"failing {SEED} {number} {number + 1}")
    assert Path(failure.input_file).parent == tmp_path
    assert Path(failure.input_file).read_bytes() == f"content of {kind}".encode()


def test_what_is_as_it_should_be_is_counted_and_not_told(tmp_path: Path) -> None:
    number = first("accepted", "refused")

    report = watch(Shard("failing", SEED, number, number + 2), tmp_path)

    assert report.outcomes == {("accepted", "accepted"): 1, ("refused", "ModelError"): 1}
    assert (report.accepted, report.refused) == (1, {"ModelError": 1})
    assert not report.failures
    assert not list(tmp_path.iterdir())
    assert report.seconds > 0


def test_it_goes_on_behind_a_crash(tmp_path: Path) -> None:
    number = first("crash", "accepted", "crash", "refused")

    report = watch(Shard("failing", SEED, number, number + 4), tmp_path)

    assert report.tried == 4
    assert report.count(CRASH) == 2
    assert (report.accepted, report.refused) == (1, {"ModelError": 1})


def test_inputs_are_the_same_in_each_run_and_others_for_another_seed() -> None:
    inputs = [made(target("records"), "records", seed, number) for seed in (1, 1, 2) for number in range(20)]

    assert inputs[:20] == inputs[20:40]
    assert inputs[:20] != inputs[40:]


def test_a_run_tries_as_many_inputs_as_it_is_told_and_sums_them_up() -> None:
    report = run(101, SEED, {"records": 0.5, "configs": 0.25, "label_maps": 0.25})

    assert [part.tried for part in report.targets] == [51, 26, 26]
    assert report.tried == 103
    assert (report.crashes, report.hangs, report.failures) == (0, 0, [])
    assert report.as_json()["tried"] == 103
    *_, all_of_it = report.as_text().splitlines()
    assert all_of_it.split()[:3] == ["all", "103", str(sum(part.accepted for part in report.targets))]

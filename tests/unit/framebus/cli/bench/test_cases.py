import pytest

from framebus.cli.bench.cases import checked_cases, wanted_variants
from framebus.errors import SettingsError


def test_what_is_named_wins_over_the_default_and_counts_once() -> None:
    assert checked_cases(["auto-bf16", "tensorflow", "auto-bf16"], ["auto-f32"]) == [
        "auto-bf16",
        "tensorflow",
    ]
    assert checked_cases(None, ["auto-f32"]) == ["auto-f32"]


def test_a_case_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="--case int8: there is no such case, but tensorflow, auto-f32"):
        checked_cases(["int8"], ["auto-f32"])


def test_a_variant_that_the_cpu_cannot_run_is_left_out_and_told_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = {"tensorflow": "cups-tensorflow", "auto-f32": "cups-auto-f32"}
    assert wanted_variants(there, ["auto-bf16", "tensorflow"], "cups") == {"tensorflow": "cups-tensorflow"}
    assert "without auto-bf16 of cups" in capsys.readouterr().err

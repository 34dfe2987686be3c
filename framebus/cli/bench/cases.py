"""Which variants of a model the user wants to see measured."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from framebus.cli.bench.report import tell_left_out
from framebus.cli.bench.variants import VARIANTS
from framebus.errors import SettingsError

CaseOption = Annotated[
    list[str] | None,
    typer.Option("--case", show_default=False, help=f"Of {', '.join(VARIANTS)}; repeat it for more."),
]


def checked_cases(wanted: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    """Returns the cases that are named, or the default.

    Raises:
        SettingsError: There is no such case.
    """
    for case in wanted or ():
        if case not in VARIANTS:
            raise SettingsError(f"--case {case}: there is no such case, but {', '.join(VARIANTS)}")
    return list(dict.fromkeys(wanted or default))


def wanted_variants(variants: Mapping[str, str], cases: Sequence[str], model: str) -> dict[str, str]:
    """Returns those variants of a model, and says which ones this machine has not."""
    for case in cases:
        if case not in variants:
            tell_left_out(f"{case} of {model}", "this CPU does not compute in bf16 (AMX)")
    return {case: variants[case] for case in cases if case in variants}

"""Tries hostile input on all that reads it: python -m tests.mutation [--count N] [--seed S] [--json FILE].

Prints how many inputs were tried, accepted and refused, and why. Ends with exit code 1 if one crashed or hung
its reader, or made it break its contract; each such input is saved to a file.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from tests.mutation.run import COUNT, SEED, SHARES, run


def main(
    count: Annotated[int, typer.Option(min=1, help="Inputs, of all targets together.")] = COUNT,
    seed: Annotated[int, typer.Option(help="What they follow from; another one makes others.")] = SEED,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(SHARES)}; repeat it for more.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file too.")
    ] = None,
) -> None:
    """See above."""
    shares = {target: SHARES[target] for target in only or SHARES}
    report = run(count, seed, shares)
    typer.echo(report.as_text())
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(), indent=1))
    if report.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)

"""Writes what docs/scaling.md shows of commands that measure nothing: python -m tests.tools.scaling_page.

What `framebus bench consumers` measured is written by tests/tools/benchmark_page.py.
"""

import re
from pathlib import Path

from typer.testing import CliRunner

from framebus.cli import app
from tests.tools import camera_spread

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"

_CAPACITY = re.compile(r"(?<=^    framebus )(capacity [^\n]+)\n\n```text\n.*?```", re.DOTALL | re.MULTILINE)
_BEGIN, _END = "<!-- spread -->", "<!-- end of spread -->"


def render() -> str:
    """The page, with what its commands print now."""
    page = _CAPACITY.sub(_session, PAGE.read_text(encoding="utf-8"))
    before, rest = page.split(_BEGIN)
    return f"{before}{_BEGIN}\n\n{camera_spread.render()}\n\n{_END}{rest.split(_END)[1]}"


def _session(match: re.Match[str]) -> str:
    result = CliRunner().invoke(app, match[1].split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.output.splitlines()]
    return "\n".join([match[1], "", "```text", *lines, "```"])


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")

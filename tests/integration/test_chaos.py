"""The fault suite in its short form: that its scenarios work, not what `make chaos` shows."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from framebus.environment import load_settings
from framebus.local_broker import why_no_apache
from tests.chaos.scenarios import Scenario

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run of all scenarios found, by scenario; it stops its broker, so it has one of its own."""
    reason = why_no_apache(load_settings())
    if reason is not None:
        pytest.skip(f"without Apache Kafka: {reason}")
    file = tmp_path_factory.mktemp("chaos") / "found.json"
    command = [
        sys.executable,
        "-m",
        "tests.chaos",
        "--short",
        "--delivery",
        "exactly_once",
        "--json",
        str(file),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout
    return {result["scenario"]: result["finding"] for result in json.loads(file.read_text())}


@pytest.mark.parametrize("scenario", Scenario)
def test_no_guarantee_breaks(scenario: Scenario, found: dict[str, Any]) -> None:
    finding = found[scenario]

    assert finding["broken"] == []
    assert finding["figures"]
    assert finding["account"] is None or finding["account"]["published"] > 0


def test_a_consumer_killed_in_its_transaction_had_published_what_nobody_should_see(
    found: dict[str, Any],
) -> None:
    assert found[Scenario.KILL]["account"]["duplicates"] == 0
    assert found[Scenario.KILL]["figures"]["duplicates for a read_uncommitted reader"] > 0

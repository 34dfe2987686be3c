"""Prometheus' own checks of its configuration and rules, and what they do not see."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import PROMETHEUS, alerts, family, names, recorded, rules

ROOT = PROMETHEUS.parents[1]
RULE_FILES = sorted(PROMETHEUS.glob("rules/*.yml"))
RULE_TESTS = sorted(PROMETHEUS.glob("tests/*.yml"))
ALERTS = alerts()


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: apt install --no-install-recommends prometheus)")
    return found


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration(promtool: str) -> None:
    check(promtool, "check", "config", PROMETHEUS / "prometheus.yml")


def test_prometheus_takes_the_rules(promtool: str) -> None:
    check(promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_rules_do_as_their_tests_say(promtool: str, file: Path) -> None:
    check(promtool, "test", "rules", file)


def rule_tests() -> list[dict[str, Any]]:
    """The expressions that promtool is to ask, with what it is to find."""
    suites = [suite for file in RULE_TESTS for suite in yaml.safe_load(file.read_text())["tests"]]
    return [asked for suite in suites for asked in suite["promql_expr_test"]]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_tests_that_it_fires_and_that_it_does_not(alert: str) -> None:
    asked = [test for test in rule_tests() if alert in test["expr"]]
    fires = [
        test for test in asked if any(f'"{alert}"' in sample["labels"] for sample in test["exp_samples"])
    ]

    assert fires
    assert [test for test in asked if not test["exp_samples"]]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    page, section = re.fullmatch(r"(\S+), section (\w+)", rule["annotations"]["runbook"]).groups()  # type: ignore[union-attr]

    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert section == alert
    assert f"\n### {alert}\n" in (ROOT / page).read_text()


def test_rules_are_about_metrics_that_there_are() -> None:
    measured = set(re.findall(r"`(framebus_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    used = {name for rule in rules() for name in names(rule["expr"])}

    assert {family(name) for name in used} - measured - recorded() == set()


def test_the_jobs_that_rules_name_are_scraped() -> None:
    jobs = {
        job["job_name"]
        for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    }
    named = {job for rule in rules() for job in re.findall(r'job="([^"]+)"', rule["expr"])}

    assert named
    assert named <= jobs
    assert all(job.startswith("framebus-") for job in jobs), "FramebusProgramDown knows them by that"

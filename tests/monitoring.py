"""What infra/ has for Prometheus and Grafana, and which names it uses."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[1] / "infra"
PROMETHEUS = INFRA / "prometheus"
GRAFANA = INFRA / "grafana"

# Recorded names have colons, those of the programs have none; job names, framebus-consumer, are neither.
_RECORDED = re.compile(r"[a-z_]+(?::\w+)+")
_MEASURED = re.compile(r"(?<![\w:])framebus_\w+(?![\w:])")


def rules() -> list[dict[str, Any]]:
    """The alerting and recording rules."""
    files = sorted(PROMETHEUS.glob("rules/*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerting rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    """The names that rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    board: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "framebus.json").read_text())
    return board


def panels() -> list[dict[str, Any]]:
    """Its panels, without the headings of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard_queries() -> Iterator[str]:
    """What it asks Prometheus: for panels, annotations and the values of variables."""
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in dashboard()["annotations"]["list"])
    yield from (
        variable["definition"] for variable in dashboard()["templating"]["list"] if "definition" in variable
    )


def names(expression: str) -> set[str]:
    """The metrics that an expression is about: those of the programs, and recorded ones."""
    return {*_RECORDED.findall(expression), *_MEASURED.findall(expression)}


def family(name: str) -> str:
    """The metric that a series belongs to: a histogram has three kinds of them."""
    return re.sub(r"_(bucket|sum|count)$", "", name)

"""The dashboard and its provisioning, as far as they can be judged without Grafana."""

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.monitoring import (
    GRAFANA,
    INFRA,
    PROMETHEUS,
    dashboard,
    dashboard_queries,
    family,
    names,
    panels,
    recorded,
)

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # there is a newer schema, which Grafana 12 has in preview
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models import units
    from grafana_foundation_sdk.models.dashboard import Dashboard

WIDTH = 24
OWN_TO_A_GRAFANA = {"id", "version", "iteration", "gnetId"}
PANELS = panels()

every_panel = pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])


@every_panel
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    known = {value for value in vars(units).values() if isinstance(value, str)}
    unit = panel["fieldConfig"]["defaults"]["unit"]

    assert panel["title"]
    assert panel["description"].endswith(".")
    assert unit in known or re.fullmatch(r"suffix: \S+", unit)


@every_panel
def test_a_panel_asks_the_chosen_prometheus(panel: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    queries = [target["expr"] for target in panel["targets"]]

    assert queries
    assert all(queries)
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [chosen] * (
        len(queries) + 1
    )
    assert len({target["refId"] for target in panel["targets"]}) == len(queries)


def test_panels_have_a_place_of_their_own() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard()["panels"]]

    assert [title for title, at in places if at["x"] < 0 or at["x"] + at["w"] > WIDTH] == []
    overlapping = [
        (one, other)
        for (one, a), (other, b) in combinations(places, 2)
        if a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    ]
    assert overlapping == []


def test_panels_can_be_told_apart() -> None:
    ids = Counter(panel["id"] for panel in dashboard()["panels"])

    assert ids.most_common(1)[0][1] == 1


def test_variables_are_there_and_are_used() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard())))

    assert {variable["name"] for variable in dashboard()["templating"]["list"]} == {
        name for name in used if not name.startswith("__")
    }


def test_it_shows_metrics_that_there_are() -> None:
    page = (INFRA.parent / "docs" / "metrics.md").read_text()
    measured = set(re.findall(r"`(framebus_\w+)`", page))
    used = {name for query in dashboard_queries() for name in names(query)}

    assert {family(name) for name in used} - measured - recorded() == set()


def test_grafana_knows_every_field() -> None:
    register_default_plugins()
    board = dashboard()

    understood = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(board)))

    assert list(not_understood(board, understood)) == []


def not_understood(written: Any, read: Any, path: str = "") -> Iterator[str]:
    """What is in a document and not in the one that was read from it."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            yield from not_understood(value, read.get(key), f"{path}/{key}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for number, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from not_understood(one, other, f"{path}/{number}")
    elif written != read:
        yield path


def test_it_has_nothing_of_the_grafana_that_it_was_edited_in() -> None:
    assert OWN_TO_A_GRAFANA & dashboard().keys() == set()
    assert [panel["title"] for panel in PANELS if "pluginVersion" in panel] == []


def test_the_data_source_knows_how_often_prometheus_scrapes() -> None:
    [source] = provisioned("datasources/prometheus.yml")["datasources"]
    scraping = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]

    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == scraping["scrape_interval"]


def test_dashboards_are_read_from_the_folder_that_the_documentation_mounts() -> None:
    [provider] = provisioned("dashboards/framebus.yml")["providers"]

    assert provider["type"] == "file"
    mount = f"infra/grafana/dashboards:{provider['options']['path']}"
    assert mount in (INFRA.parent / "docs" / "monitoring.md").read_text()


def provisioned(file: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((GRAFANA / "provisioning" / file).read_text())
    assert settings["apiVersion"] == 1
    return settings

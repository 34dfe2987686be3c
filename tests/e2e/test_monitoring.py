"""A real Prometheus with the project's rules scrapes all programs, and answers the dashboard's queries."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import pytest

from framebus.local_broker import LocalBroker
from framebus.settings import KafkaSettings
from tests.e2e.prometheus_process import PrometheusProcess
from tests.e2e.rest_processes import RestInstallation, data_of, predict
from tests.integration.published import Publisher
from tests.monitoring import dashboard, dashboard_queries, family, names, panels, recorded, rules
from tests.pictures import jpeg

pytestmark = pytest.mark.slow

CAMERAS = ("cam-0", "cam-1")
RANGE = "1m"
# What has no series before it has happened, and here it does not.
RARE = (
    "ALERTS",
    "framebus_api_prediction_retries_total",
    "framebus_dead_letters",
    "framebus_dropped_frames_total",
    "framebus_future_frames_total",
    "framebus_skipped_pictures_total",
    "framebus_unpublished_frames_total",
)


class Monitored(NamedTuple):
    """Programs, and the Prometheus that scrapes them."""

    installation: RestInstallation
    prometheus: PrometheusProcess


@pytest.fixture(scope="module")
def prometheus_program() -> str:
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not installed (Debian: apt install --no-install-recommends prometheus)")
    return found


@pytest.fixture(scope="module")
def monitored(
    prometheus_program: str, apache: LocalBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    directory = tmp_path_factory.mktemp("monitored")
    with RestInstallation(apache.bootstrap_servers, directory, call_s=0.005) as installation:
        producer = installation.producer(cameras=len(CAMERAS), fps=10)
        worker, api = installation.worker(), installation.api()
        targets = {
            name: process.url.removeprefix("http://")
            for name, process in {"consumer": worker, "producer": producer, "control-api": api}.items()
        }
        for process in (producer, worker, api):
            process.until_ready()
        api.until_workers(worker)
        with api.client() as client:
            data_of(predict(client, installation.model, jpeg()))
        with PrometheusProcess(prometheus_program, directory, targets) as prometheus:
            yield Monitored(installation, prometheus)


def test_all_three_programs_are_scraped(monitored: Monitored) -> None:
    def up() -> set[str]:
        targets = monitored.prometheus.ask("/targets")["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}

    jobs = {"framebus-consumer", "framebus-producer", "framebus-control-api"}
    monitored.prometheus.until(lambda: up() == jobs, "all targets to be up")


def test_all_rules_can_be_evaluated(monitored: Monitored) -> None:
    def judged() -> dict[str, str]:
        groups = monitored.prometheus.ask("/rules")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    monitored.prometheus.until(lambda: "unknown" not in judged().values(), "all rules to be evaluated")

    assert judged() == {rule.get("alert") or rule["record"]: "ok" for rule in rules()}


def test_every_metric_that_is_named_is_declared_by_a_program(monitored: Monitored) -> None:
    used = {name for rule in rules() for name in names(rule["expr"])}
    used |= {name for query in dashboard_queries() for name in names(query)}
    wanted = {family(name) for name in used} - recorded()

    def undeclared() -> set[str]:
        return wanted - set(monitored.prometheus.ask("/metadata"))

    assert wanted
    monitored.prometheus.until(lambda: not undeclared(), f"the declaration of {undeclared()}")


def test_variables_of_the_dashboard_offer_models_and_cameras(monitored: Monitored) -> None:
    offered = {}
    for variable in dashboard()["templating"]["list"]:
        if found := re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", "")):
            series, label = found.groups()
            offered[variable["name"]] = (series, label)

    def values(name: str) -> list[str]:
        series, label = offered[name]
        return list(monitored.prometheus.ask(f"/label/{label}/values", **{"match[]": series}))

    monitored.prometheus.until(lambda: values("model") == [monitored.installation.model], "the model")
    monitored.prometheus.until(lambda: values("camera") == list(CAMERAS), "the cameras")


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_prometheus_has_what_a_panel_asks_for(
    monitored: Monitored, panel: dict[str, list[dict[str, str]]]
) -> None:
    for target in panel["targets"]:
        expression = chosen(target["expr"], monitored.installation.model)
        answer = monitored.prometheus.query(expression)
        if not answer and not any(rare in expression for rare in RARE):
            monitored.prometheus.until(partial(monitored.prometheus.query, expression), expression)


def chosen(expression: str, model: str) -> str:
    """A query of the dashboard as Grafana sends it, for one model and all cameras."""
    expression = expression.replace("$__rate_interval", RANGE)
    return expression.replace("$model", model).replace("$camera", "|".join(CAMERAS))


def test_an_alert_fires_and_says_what_happened(monitored: Monitored) -> None:
    installation, prometheus = monitored

    def dead_letters() -> float:
        return sum(float(series["value"][1]) for series in prometheus.query("framebus_dead_letters_total"))

    def said() -> dict[str, str] | None:
        alerts = prometheus.ask("/alerts")["alerts"]
        firing = {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}
        return firing["FramebusDeadLetters"]["annotations"] if "FramebusDeadLetters" in firing else None

    with Publisher(KafkaSettings(bootstrap_servers=installation.servers)) as publisher:
        publisher.frame(installation.topic, "broken", datetime.now(UTC), b"no picture")
        prometheus.until(lambda: dead_letters() == 1, "the first dead letter")
        assert said() is None
        for _ in range(20):
            publisher.frame(installation.topic, "broken", datetime.now(UTC), b"no picture")
    annotations = prometheus.until(said, "the alert")

    assert annotations["summary"] == f"Model {installation.model} cannot process frames: undecodable"
    assert re.match(r"\d+ dead letters within 15 minutes\.", annotations["description"])

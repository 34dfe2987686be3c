"""The Helm chart: what comes out of it, and what it does not take. Helm renders; nothing is installed."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from framebus.settings import Settings
from producer.camera_file import read_camera_file
from tests.chart import (
    CHART,
    EVERYTHING,
    KUBERNETES,
    SECURED,
    SMALLEST,
    VALUES,
    Object,
    container,
    environment,
    render,
    run_helm,
    settings_in,
)
from tests.documented_commands import ROOT, File, read_page
from tests.monitoring import PROMETHEUS, rules

every_values = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
OF_OPERATORS = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule"}


def validate(one: Object) -> None:
    """Holds an object against Kubernetes' schemas."""
    schemas = pytest.importorskip("kubernetes_validate", reason="without Kubernetes' schemas")
    schemas.validate(one, KUBERNETES.removesuffix(".0"), strict=True)


@every_values
def test_kubernetes_takes_every_object(values: Object) -> None:
    objects = [one for one in render(values).objects if one["kind"] not in OF_OPERATORS]

    assert len(objects) > 10
    for one in objects:
        validate(one)


@every_values
def test_every_program_takes_its_environment(values: Object, tmp_path: Path) -> None:
    for pod in render(values).pods().values():
        settings = settings_in(pod, tmp_path)

        assert {route.topic for route in settings.routes or ()} >= {"frames"}
        assert settings.topics.partitions == 8


@every_values
def test_pods_may_do_little(values: Object) -> None:
    for pod in render(values).pods().values():
        spec, allowed = pod["spec"], container(pod)["securityContext"]

        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert allowed == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = [one for one in container(pod)["volumeMounts"] if not one.get("readOnly")]
        assert writable == [{"name": "tmp", "mountPath": "/tmp"}]


@every_values
def test_no_service_becomes_a_setting_that_framebus_does_not_know(values: Object) -> None:
    assert {pod["spec"]["enableServiceLinks"] for pod in render(values).pods().values()} == {False}


@every_values
def test_what_selects_pods_selects_those_it_is_for(values: Object) -> None:
    made = render(values)
    producers = {name for name in made.pods() if name.startswith("producer-")}
    program = {name: {name} for name in ("consumer", "control-api", "topics")} | {"producer": producers}

    for name, deployment in made.of("Deployment").items():
        assert made.selected(deployment["spec"]["selector"]["matchLabels"]) == {name}
    for name, service in made.of("Service").items():
        assert made.selected(service["spec"]["selector"]) == program[name]
    for name, budget in made.of("PodDisruptionBudget").items():
        assert made.selected(budget["spec"]["selector"]["matchLabels"]) == {name}
    policies = made.of("NetworkPolicy")
    assert policies.keys() == program.keys()
    for name, policy in policies.items():
        assert made.selected(policy["spec"]["podSelector"]["matchLabels"]) == program[name]


@every_values
def test_ports_are_those_that_programs_listen_on(values: Object) -> None:
    default = Settings()
    listening = {
        "consumer": default.consumer.http_port,
        "producer": default.producer.http_port,
        "control-api": default.api.port,
    }
    made = render(values)

    for pod in made.of("Deployment").values():
        program = container(pod["spec"]["template"])
        assert program["ports"] == [{"name": "http", "containerPort": listening[program["name"]]}]
    for name, service in made.of("Service").items():
        assert service["spec"]["ports"] == [{"name": "http", "port": listening[name], "targetPort": "http"}]


def test_the_api_reaches_workers_where_they_say_they_are() -> None:
    made = render(SMALLEST)
    policies = {name: policy["spec"] for name, policy in made.of("NetworkPolicy").items()}

    address = environment(made.pods()["consumer"])["FRAMEBUS_CONSUMER__HTTP_ADDRESS"]
    outwards = [rule for rule in policies["control-api"]["egress"] if rule["ports"] == [{"port": 9101}]]
    inwards = [peer for rule in policies["consumer"]["ingress"] for peer in rule["from"]]

    assert address == "http://10.2.3.4:9101"
    [workers] = [peer["podSelector"]["matchLabels"] for rule in outwards for peer in rule["to"]]
    assert made.selected(workers) == {"consumer"}
    clients = [peer["podSelector"]["matchLabels"] for peer in inwards if "namespaceSelector" not in peer]
    assert [made.selected(labels) for labels in clients] == [{"control-api"}]


def test_programs_reach_nothing_but_what_they_need() -> None:
    policies = {name: policy["spec"] for name, policy in render(SECURED).of("NetworkPolicy").items()}
    dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    kafka = {"ports": [{"port": 9093}, {"port": 9094}], "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}

    assert all(policy["policyTypes"] == ["Ingress", "Egress"] for policy in policies.values())
    assert policies["consumer"]["egress"] == policies["topics"]["egress"] == [dns, kafka]
    assert policies["control-api"]["egress"][:2] == [dns, kafka]
    assert "ingress" not in policies["topics"]


def test_topics_are_created_before_the_programs_start() -> None:
    job = render(EVERYTHING).of("Job")["topics"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert container(job["spec"]["template"])["args"] == [
        *("topics", "create", "--topic", "frames", "--topic", "live.south")
    ]


def test_producers_read_the_cameras_of_the_values(tmp_path: Path) -> None:
    made = render(EVERYTHING)
    file = tmp_path / "cameras.yaml"
    file.write_text(made.of("ConfigMap")["producer-north"]["data"]["cameras.yaml"])
    south = made.pods()["producer-south"]

    assert [(one.id, one.fps) for one in read_camera_file(file)] == [("gate", 2), ("yard", None)]
    assert container(south)["args"] == ["produce", "--cameras", "/etc/framebus/cameras/cameras.yaml"]
    assert {"name": "cameras", "secret": {"secretName": "cameras-south"}} in south["spec"]["volumes"]
    assert settings_in(south, tmp_path).topics.frames == "live.south"
    strategies = {
        made.of("Deployment")[f"producer-{name}"]["spec"]["strategy"]["type"] for name in ("north", "south")
    }
    assert strategies == {"Recreate"}


def test_other_cameras_start_the_producer_anew() -> None:
    def annotations(source: str) -> Any:
        producers = {"north": {"cameras": [{"id": "gate", "source": source}]}}
        pod = render(SMALLEST | {"producers": producers}).pods()["producer-north"]
        return pod["metadata"]["annotations"]

    assert annotations("rtsp://10.0.0.8/a") == annotations("rtsp://10.0.0.8/a")
    assert annotations("rtsp://10.0.0.8/a") != annotations("rtsp://10.0.0.8/b")


def test_prometheus_finds_the_jobs_that_rules_name() -> None:
    made = render(EVERYTHING)
    [monitor] = made.of("ServiceMonitor").values()
    [endpoint] = monitor["spec"]["endpoints"]
    [to_job] = endpoint["relabelings"]
    label = to_job["sourceLabels"][0].removeprefix("__meta_kubernetes_service_label_").replace("_", "")
    scraping = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    labels = [service["metadata"]["labels"] for service in made.of("Service").values()]

    components = {
        value
        for one in labels
        for key, value in one.items()
        if key.replace("/", "").replace(".", "") == label
    }

    assert all(monitor["spec"]["selector"]["matchLabels"].items() <= one.items() for one in labels)
    assert to_job["targetLabel"] == "job"
    assert {to_job["replacement"].replace("$1", one) for one in components} == {
        job["job_name"] for job in scraping["scrape_configs"]
    }
    assert endpoint["interval"] == scraping["global"]["scrape_interval"]
    assert endpoint["honorLabels"], "the operator's own label `endpoint` would take the place of the API's"


def test_rules_are_those_of_prometheus() -> None:
    made = render(EVERYTHING).of("PrometheusRule").values()

    assert [rule for one in made for group in one["spec"]["groups"] for rule in group["rules"]] == rules()


WRONG = {
    "no brokers": ({"kafka": {"bootstrapServers": ""}}, "kafka.bootstrapServers is missing"),
    "a broker without port": ({"kafka": {"bootstrapServers": "kafka"}}, "/kafka/bootstrapServers"),
    "a slip of the pen": ({"consumer": {"replica": 2}}, "additional properties 'replica' not allowed"),
    "a variable that is no string": ({"env": {"FRAMEBUS_TOPICS__PARTITIONS": 8}}, "got number, want string"),
    "no models": ({"models": {"existingClaim": ""}}, "models: set either existingClaim"),
    "two models": ({"models": {"volume": {"emptyDir": {}}}}, "models: set either existingClaim"),
    "more consumers than partitions": (
        {"consumer": {"autoscaling": {"enabled": True, "maxReplicas": 9}}},
        "maxReplicas is 9, and frames come from 8 partitions",
    ),
    "least above most": (
        {"consumer": {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}},
        "minReplicas is 5 and maxReplicas 4",
    ),
    "half an account": (
        {"kafka": {"sasl": {"mechanism": "PLAIN"}}},
        "set username and password.secretName",
    ),
    "certificates and no TLS": ({"kafka": {"tls": {"ca": {"secretName": "ca"}}}}, "set kafka.tls.enabled"),
    "a mechanism that KEDA lacks": ({"kafka": {"sasl": {"mechanism": "LDAP"}}}, "/kafka/sasl/mechanism"),
    "a password for all to see": (
        {"producers": {"a": {"cameras": [{"id": "gate", "source": "rtsp://u:p@10.0.0.7/live"}]}}},
        "camera gate has credentials",
    ),
    "no cameras": (
        {"producers": {"a": {"topic": "frames"}}},
        "give either cameras, a list, or camerasSecret",
    ),
    "a route to nowhere": ({"routes": [{"topic": "frames"}]}, "missing property 'models'"),
    "an ingress without a name": ({"api": {"ingress": {"enabled": True}}}, "api.ingress.host is missing"),
}


@pytest.mark.parametrize(("values", "why"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_refused(values: Object, why: str) -> None:
    both = {
        key: {**SMALLEST.get(key, {}), **value} if isinstance(value, dict) else value
        for key, value in values.items()
    }

    done = run_helm(SMALLEST | both)

    assert done.returncode != 0
    assert why in done.stderr
    assert "u:p@" not in done.stderr


def test_a_release_may_have_consumers_alone() -> None:
    made = render(SMALLEST | {"api": {"enabled": False}, "topics": {"create": False}})

    assert made.pods().keys() == {"consumer"}
    assert made.of("Service").keys() == made.of("PodDisruptionBudget").keys() == {"consumer"}


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert chart["appVersion"] == chart["version"] == project["version"]


DOCUMENTED = {
    one.name: yaml.safe_load(one.text) for one in read_page("docs/kubernetes.md") if isinstance(one, File)
}


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if name.endswith("values.yaml")])
def test_values_of_the_documentation_are_taken(name: str) -> None:
    assert render(SMALLEST | DOCUMENTED[name]).objects


def test_the_pod_of_the_documentation_is_one() -> None:
    validate(DOCUMENTED["fill-models.yaml"])


def test_values_that_the_documentation_names_are_there() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    free = ("env", "resources", "podSecurityContext")  # whose keys are Kubernetes' own, or the user's
    text = (ROOT / "docs/kubernetes.md").read_text()
    named = re.findall(rf"`((?:{'|'.join(values)})(?:\.\w+)+)`", text)

    assert len(named) > 30
    for name in named:
        found = values
        for key in name.split("."):
            assert key in found, f"docs/kubernetes.md names {name}"
            found = found[key]
            if key in free:
                break

"""The Helm chart: how many consumers there are, where they run, and how long they may take to end."""

import json
from pathlib import Path

import pytest

from control_api.app import _STOP_TIMEOUT_S
from framebus.cli.consume import _LEAVE_TIMEOUT_S
from framebus.routes import group_id, load_routes
from framebus.settings import Settings
from tests.chart import (
    EVERYTHING,
    SECURED,
    SMALLEST,
    Object,
    container,
    environment,
    render,
    settings_in,
)


def test_a_gpu_brings_its_image_and_one_gpu_to_each_pod() -> None:
    consumer = render(EVERYTHING).of("Deployment")["consumer"]["spec"]
    pod = consumer["template"]
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}

    assert container(pod)["image"] == "registry.example.com/vision/framebus-consumer-gpu:1.2.3"
    assert container(pod)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert gpu in pod["spec"]["tolerations"]
    assert pod["spec"]["runtimeClassName"] == "nvidia"
    # A new pod could not be placed beside the old ones, and the update would stand still.
    assert consumer["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_without_a_gpu_none_is_asked_for() -> None:
    pod = render(SMALLEST).pods()["consumer"]

    assert container(pod)["image"] == "framebus-consumer:0.1.0"
    assert "gpu" not in json.dumps(pod)


def test_an_engine_uses_the_cores_of_its_limit(tmp_path: Path) -> None:
    settings = settings_in(render(EVERYTHING).pods()["consumer"], tmp_path)
    assert (settings.openvino.threads, settings.tensorflow.intra_op_threads) == (3, 3)

    own = EVERYTHING["consumer"] | {"env": {"FRAMEBUS_OPENVINO__THREADS": "1"}}
    settings = settings_in(render(EVERYTHING | {"consumer": own}).pods()["consumer"], tmp_path)
    assert (settings.openvino.threads, settings.tensorflow.intra_op_threads) == (1, 3)


def test_a_pod_has_the_time_to_drain() -> None:
    values = SMALLEST | {"consumer": {"drainTimeoutSeconds": 300}}
    pods = render(values).pods()
    seconds = {name: pod["spec"]["terminationGracePeriodSeconds"] for name, pod in pods.items()}
    before = container(pods["control-api"])["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert environment(pods["consumer"])["FRAMEBUS_CONSUMER__DRAIN_TIMEOUT_S"] == "300"
    assert seconds["consumer"] > 300 + _LEAVE_TIMEOUT_S
    assert seconds["control-api"] > before + Settings().api.predict_timeout_s + _STOP_TIMEOUT_S


@pytest.mark.parametrize("values", [SECURED, EVERYTHING], ids=["secured", "everything"])
def test_lag_is_that_of_the_groups_that_consumers_join(values: Object, tmp_path: Path) -> None:
    made = render(values)
    settings = settings_in(made.pods()["consumer"], tmp_path)
    routes = load_routes(settings)
    [scaled] = made.of("ScaledObject").values()
    triggers = {one["metadata"]["consumerGroup"]: one["metadata"] for one in scaled["spec"]["triggers"]}

    assert triggers.keys() == {group_id(settings.kafka, model) for model in routes.models}
    for model in routes.models:
        trigger = triggers[group_id(settings.kafka, model)]
        fed = [route.topic for route in settings.routes or () if model in route.models]
        # Without a topic it is the lag of all that the group reads.
        assert trigger.get("topic") == (fed[0] if len(fed) == 1 else None)
        assert trigger["bootstrapServers"] == settings.kafka.bootstrap_servers
        assert trigger["offsetResetPolicy"] == "earliest"
    assert "replicas" not in made.of("Deployment")["consumer"]["spec"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == "eyes-framebus-consumer"


def test_keda_signs_in_as_consumers_do() -> None:
    made = render(SECURED)
    [scaled] = made.of("ScaledObject").values()
    [sign_in] = made.of("TriggerAuthentication").values()
    username = sign_in["spec"]["configMapTargetRef"][0]
    secrets = {one["parameter"]: (one["name"], one["key"]) for one in sign_in["spec"]["secretTargetRef"]}

    for trigger in scaled["spec"]["triggers"]:
        assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha512", "enable")
        assert trigger["authenticationRef"]["name"] == sign_in["metadata"]["name"]
    assert made.of("ConfigMap")["kafka"]["data"] == {username["key"]: "eyes"}
    assert secrets == {
        "ca": ("cluster-ca", "ca.crt"),
        "cert": ("client-certificate", "user.crt"),
        "key": ("client-certificate", "user.key"),
        "password": ("eyes", "password"),
    }


def test_more_consumers_than_partitions_where_models_read_several_topics() -> None:
    routes = [{"topic": topic, "models": ["ssd"]} for topic in ("a", "b")]
    scaling = {"autoscaling": {"enabled": True, "maxReplicas": 16}}

    [scaled] = render(SMALLEST | {"routes": routes, "consumer": scaling}).of("ScaledObject").values()

    assert scaled["spec"]["maxReplicaCount"] == 16

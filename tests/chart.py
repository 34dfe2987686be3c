"""The Helm chart of infra/k8s, rendered, and what a test asks of what comes out."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from framebus.environment import load_settings
from framebus.settings import Settings
from tests.monitoring import INFRA

CHART = INFRA / "k8s"
KUBERNETES = "1.34.0"

Object = dict[str, Any]

SMALLEST: Object = {"kafka": {"bootstrapServers": "kafka:9092"}, "models": {"existingClaim": "models"}}
SECURED: Object = {
    "kafka": {
        "bootstrapServers": "kafka-0:9093,kafka-1:9094",
        "groupId": "eyes",
        "tls": {
            "enabled": True,
            "ca": {"secretName": "cluster-ca"},
            "client": {"secretName": "client-certificate"},
        },
        "sasl": {"mechanism": "SCRAM-SHA-512", "username": "eyes", "password": {"secretName": "eyes"}},
        "options": {"socket.keepalive.enable": "true"},
    },
    "topics": {"kafka": {"sasl": {"username": "topics", "password": {"secretName": "topics"}}}},
    "routes": [
        {"topic": "frames", "models": ["ssd", "plates"]},
        {"topic": r"^live\.[a-z]+", "models": ["ssd"], "freshness": "latest", "max_frame_age_ms": 1_000_000},
    ],
    "models": {"volume": {"nfs": {"server": "10.0.0.1", "path": "/models"}}},
    "consumer": {"autoscaling": {"enabled": True}},
    "networkPolicy": {
        "kafka": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
        "clients": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
    },
}
EVERYTHING: Object = {
    **SMALLEST,
    "image": {"registry": "registry.example.com/vision/", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "registry"}],
    "env": {"FRAMEBUS_LOG__LEVEL": "debug"},
    "consumer": {
        "gpu": {"enabled": True, "runtimeClassName": "nvidia"},
        "autoscaling": {"enabled": True},
        "resources": {"limits": {"cpu": "2500m", "memory": "4Gi"}},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "annotations": {"note": "x"},
    },
    "api": {
        "ingress": {"enabled": True, "className": "nginx", "host": "eyes.example.com", "tlsSecret": "eyes"},
        "service": {"annotations": {"note": "x"}},
    },
    "producers": {
        "north": {
            "cameras": [
                {"id": "gate", "source": "http://10.0.0.8/snapshot.jpg?user=a@b", "fps": 2},
                {"id": "yard", "source": "rtsp://10.0.0.9/live", "resize": "1280x720"},
            ]
        },
        "south": {"camerasSecret": "cameras-south", "topic": "live.south"},
    },
    "networkPolicy": {
        "cameras": [{"ipBlock": {"cidr": "10.0.0.0/24"}}],
        "extraEgress": [{"ports": [{"port": 4318}]}],
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True},
    },
}
VALUES: Mapping[str, Object] = {"smallest": SMALLEST, "secured": SECURED, "everything": EVERYTHING}


def run_helm(values: Object, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs `helm template` with values beside the chart's own, once for the same ones."""
    return _run_helm(json.dumps(values), *options)


@cache
def _run_helm(values: str, *options: str) -> subprocess.CompletedProcess[str]:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed, so the chart cannot be rendered")
    command = [helm, "template", "eyes", str(CHART), "--namespace", "vision", "--values", "-"]
    return subprocess.run(
        [*command, "--kube-version", KUBERNETES, *options],
        input=values,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def render(values: Object, *options: str) -> "Manifests":
    """What the chart makes of values."""
    done = run_helm(values, *options)
    assert done.returncode == 0, done.stderr
    return Manifests([one for one in yaml.safe_load_all(done.stdout) if one])


@dataclass(frozen=True)
class Manifests:
    """The objects of a release."""

    objects: Sequence[Object]

    def of(self, kind: str) -> dict[str, Object]:
        """Those of a kind, by name without the release's."""
        named = {one["metadata"]["name"]: one for one in self.objects if one["kind"] == kind}
        return {re.sub(r"^eyes-framebus-?", "", name): one for name, one in named.items()}

    def pods(self) -> dict[str, Object]:
        """The templates of all pods, by the name of what makes them."""
        owners = {**self.of("Deployment"), **self.of("Job")}
        return {name: owner["spec"]["template"] for name, owner in owners.items()}

    def selected(self, selector: Mapping[str, str]) -> set[str]:
        """The pods that labels select."""
        pods = self.pods().items()
        return {name for name, pod in pods if selector.items() <= pod["metadata"]["labels"].items()}


def container(pod: Object) -> Object:
    """The only container of a pod."""
    [only] = pod["spec"]["containers"]
    return dict(only)


def environment(pod: Object) -> dict[str, str]:
    """A pod's variables as its container gets them; its limit is of three CPUs at most."""
    found = {"POD_IP": "10.2.3.4"}
    for one in container(pod)["env"]:
        if "value" in one:
            known = re.compile(r"\$\((\w+)\)")
            found[one["name"]] = known.sub(lambda match: found[match[1]], one["value"])
        elif "resourceFieldRef" in one["valueFrom"]:
            assert "cpu" in container(pod)["resources"]["limits"]  # or it would be all of the node's
            found[one["name"]] = "3"
    return found


def mounted_files(pod: Object) -> Iterator[Path]:
    """The files that Secrets bring into a pod."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for mount in container(pod)["volumeMounts"]:
        volume = volumes[mount["name"]]
        sources = volume.get("projected", {"sources": [volume]})["sources"]
        for secret in (source["secret"] for source in sources if "secret" in source):
            for item in secret.get("items", ()):
                yield Path(mount["mountPath"], item["path"])


def settings_in(pod: Object, root: Path) -> Settings:
    """The settings as a pod's program reads them.

    Args:
        pod: Its template.
        root: Stands for the pod's own root directory; files that Secrets bring are written there.
    """
    for path in mounted_files(pod):
        file = root / path.relative_to("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"what stands in {path}\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FRAMEBUS_")]:
            patch.delenv(name)
        for name, value in environment(pod).items():
            patch.setenv(name, value.replace("/etc/framebus", f"{root}/etc/framebus"))
        return load_settings()

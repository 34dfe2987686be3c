"""docker-compose.yml and the Dockerfile, as far as no Docker is needed; tests/docker runs them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from framebus.environment import load_settings
from framebus.local_broker.docker import IMAGE

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "infra/docker/Dockerfile").read_text(encoding="utf-8")
# As it is where no variable is set.
COMPOSE = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if "framebus-" in service["image"]}
BUILT = {name: service for name, service in OURS.items() if "build" in service}
LOCKS = ["base", "cpu", "gpu", "build"]


def versions(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_images_have_the_versions_that_tests_run_with(lock: str) -> None:
    tested = versions("dev")

    assert {name: one for name, one in versions(lock).items() if tested.get(name, one) != one} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_what_an_image_installs_is_locked_with_hashes(lock: str) -> None:
    assert re.search(rf"--require-hashes -r \S*requirements/{lock}\.lock|-r /build/{lock}\.lock", DOCKERFILE)


def test_the_image_with_cuda_has_the_tensorflow_that_is_tested() -> None:
    assert versions("gpu")["tensorflow"] == versions("cpu")["tensorflow-cpu"]
    assert "nvidia-cudnn-cu12" in versions("gpu")


def test_each_image_is_built_once() -> None:
    images = [service["image"] for service in BUILT.values()]

    assert sorted(images) == sorted({service["image"] for service in OURS.values()})


@pytest.mark.parametrize("name", BUILT)
def test_a_service_is_built_from_a_target_that_there_is(name: str) -> None:
    assert f" AS {SERVICES[name]['build']['target']}\n" in DOCKERFILE


@pytest.mark.parametrize("name", OURS)
def test_a_service_may_do_nothing_but_its_work(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_image = dict(re.findall(r"\b(FRAMEBUS_\w+)=(\S+)", DOCKERFILE[DOCKERFILE.index(" AS runtime") :]))
    for variable, value in {**in_image, **SERVICES[name].get("environment", {})}.items():
        monkeypatch.setenv(variable, value)
    token = tmp_path / "worker-token"
    token.write_text("sixteen or longer")
    monkeypatch.setenv("FRAMEBUS_CONTROL__WORKER_TOKEN_FILE", str(token))

    settings = load_settings()

    assert str(settings.models_dir) == "/models"
    assert settings.consumer.http_host == settings.producer.http_host == settings.api.host == "0.0.0.0"


def test_one_version_of_kafka_is_run_everywhere() -> None:
    pom = (ROOT / "infra/kafka/pom.xml").read_text(encoding="utf-8")
    [version] = re.findall(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)<", pom)

    assert SERVICES["kafka"]["image"] == IMAGE == f"apache/kafka:{version}"


@pytest.mark.parametrize("command", [["docker-compose"], ["docker", "compose"]], ids=" ".join)
def test_this_compose_can_read_the_file(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"`{' '.join(command)}` is not installed")

    done = subprocess.run(
        [*command, "--profile", "cpu", "--profile", "gpu", "config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)

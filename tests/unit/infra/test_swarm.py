"""The stack files against what framebus takes, and the health check that they use."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from typer.testing import CliRunner

from framebus.cli import app
from framebus.environment import load_settings
from framebus.settings import Settings
from tests.monitoring import INFRA, PROMETHEUS

SWARM = INFRA / "swarm"
STACK = SWARM / "stack.yml"
STACKS = sorted(SWARM.glob("stack*.yml"))
VARIABLES = {"MODELS": "/srv/models", "KAFKA": "broker:9092"}


def read(file: Path) -> dict[str, Any]:
    """A stack as docker reads it where no variable is set but those that must be."""
    text = re.sub(
        r"\$\{(\w+):[-?]([^}]*)\}",
        lambda found: VARIABLES.get(found[1], found[2]),
        file.read_text(encoding="utf-8"),
    )
    document: dict[str, Any] = yaml.safe_load(text)
    return document


SERVICES = {
    f"{file.stem} {name}": service for file in STACKS for name, service in read(file)["services"].items()
}
COMMANDS = {name: service for name, service in SERVICES.items() if "command" in service}


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.stem)
def test_docker_reads_it(file: Path) -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "stack", "config", "--help"], capture_output=True).returncode
    ):
        pytest.skip("there is no docker 25 or later, whose `stack config` needs no daemon")
    files = [STACK] if file == STACK else [STACK, file]

    done = subprocess.run(
        [docker, "stack", "config", *(part for one in files for part in ("-c", one))],
        env={**os.environ, **VARIABLES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.stem)
def test_docker_takes_no_message_for_a_default(file: Path) -> None:
    messages = re.findall(r"\$\{\w+:\?([^}]*)\}", file.read_text(encoding="utf-8"))

    assert [message for message in messages if "-" in message] == []  # ${A:?b-c} is c where A:?b is not set


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_its_settings_are_settings(
    service: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in service.get("environment", {}).items():
        if name.startswith("FRAMEBUS_") and name.endswith("_FILE"):
            secret = tmp_path / Path(value).name
            secret.write_text(f"a secret of {secret.name}")
            assert value == f"/run/secrets/{secret.name}"
            assert secret.name in {one["source"] for one in service["secrets"]}
            value = str(secret)
        monkeypatch.setenv(name, str(value))

    load_settings()


@pytest.mark.parametrize("service", COMMANDS.values(), ids=COMMANDS)
def test_its_command_is_one(service: dict[str, Any]) -> None:
    done = CliRunner().invoke(app, [*service["command"], "--help"])

    assert done.exit_code == 0, done.output


def test_there_is_time_to_drain() -> None:
    settings, stack, producers = Settings(), read(STACK)["services"], read(SWARM / "stack.producer.yml")
    leaving_s = 20

    assert seconds(stack["consumer"]) >= settings.consumer.drain_timeout_s + leaving_s
    assert seconds(stack["control-api"]) > settings.api.predict_timeout_s
    assert seconds(producers["services"]["producer"]) >= settings.producer.drain_timeout_s + leaving_s


def seconds(service: dict[str, Any]) -> int:
    return int(service["stop_grace_period"].removesuffix("s"))


def test_only_who_may_read_a_secret_is_given_it() -> None:
    for service in SERVICES.values():
        user = "472" if service.get("image", "").startswith("grafana/") else "10001"
        for secret in service.get("secrets", []):
            assert (secret["uid"], secret["mode"]) == (user, 0o400)


def test_every_file_of_a_config_is_there_and_follows_the_release() -> None:
    configs = read(STACK)["configs"].values()

    assert [one["file"] for one in configs if not (SWARM / one["file"]).is_file()] == []
    names = re.findall(r"name: \"?(framebus-[^\s,}]*\}[^\s,}]*\})", STACK.read_text(encoding="utf-8"))
    assert len(names) == len(configs)
    assert all(name.endswith("-${TAG:-0.1.0}-${REVISION:-1}") for name in names)


def test_prometheus_asks_what_it_asks_elsewhere() -> None:
    here, elsewhere = (
        yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8"))
        for folder in (SWARM, PROMETHEUS)
    )
    jobs = {job.pop("job_name"): job for job in here.pop("scrape_configs")}

    assert {job["job_name"] for job in elsewhere.pop("scrape_configs")} == set(jobs)
    assert here == elsewhere
    named = {name for file in STACKS for name in read(file)["services"]}
    settings = Settings()
    asked = {}
    for job in jobs.values():
        [found] = job["dns_sd_configs"]
        [name] = found["names"]
        assert found["type"] == "A"
        asked[name.removeprefix("tasks.")] = found["port"]
    assert set(asked) <= named
    assert asked == {
        "consumer": settings.consumer.http_port,
        "producer": settings.producer.http_port,
        "control-api": settings.api.port,
    }


class Program(BaseHTTPRequestHandler):
    """Stands for a program: answers with the status that a test has given each path."""

    status: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        """Answers."""
        self.send_response(self.status[self.path])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Is quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Program) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_health_is_being_ready_once_and_being_alive_from_then_on(port: int, tmp_path: Path) -> None:
    def is_healthy(**status: int) -> bool:
        Program.status.clear()
        Program.status.update({f"/{path}": code for path, code in status.items()})
        done = subprocess.run(
            [SWARM / "has-started", str(port)],
            env={
                # In the images, is-alive is on the path.
                "PATH": f"{SWARM.parent / 'docker'}:{Path(sys.executable).parent}:{os.defpath}",
                "TMPDIR": str(tmp_path),
            },
            capture_output=True,
            timeout=30,
            check=False,
        )
        return done.returncode == 0

    assert not is_healthy(readyz=503, healthz=200)  # it loads its models
    assert is_healthy(readyz=200, healthz=200)
    assert is_healthy(readyz=503, healthz=200)  # a broker is away
    assert not is_healthy(readyz=200, healthz=503)

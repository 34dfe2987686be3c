"""docker-compose.yml as a project of its own, by whichever compose there is."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
_BUILD_TIMEOUT_S = 1800
_TIMEOUT_S = 300
# Over those of a user's own .env.
_DEFAULTS = {"REGISTRY": "", "TAG": "0.1.0", "MODEL": "pedestrian", "MODELS": "models", "KAFKA": "kafka:9092"}


def run(*command: str, timeout: float = _TIMEOUT_S) -> str:
    """Runs a command in the checkout and returns its output; its errors are the test's."""
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def why_no_docker() -> str | None:
    """Says in words what is missing for these tests."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False, timeout=60)
    if asked.returncode != 0:
        return f"Docker's daemon cannot be used: {asked.stderr.strip()}"
    return None if _compose_command() else "neither `docker compose` nor docker-compose is installed"


@cache
def _compose_command() -> tuple[str, ...]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False, timeout=60)
    if plugin.returncode == 0:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else ()


class Compose:
    """A project whose ports are on an address of loopback that nothing else listens on.

    Args:
        project: Its name, which its containers, volumes and network begin with.
        address: Where its ports are.
    """

    def __init__(self, project: str, address: str) -> None:
        self._command = (*_compose_command(), "-p", project, "--profile", "cpu")
        self._project = project
        os.environ |= {"BIND": address, "KAFKA_BIND": address, "KAFKA_HOST": address, **_DEFAULTS}

    def build(self) -> None:
        """Builds every image but that with CUDA."""
        run(*self._command, "build", timeout=_BUILD_TIMEOUT_S)

    def up(self, services: Sequence[str], **replicas: int) -> None:
        """Starts services, and those that they depend on."""
        scale = [part for name, count in replicas.items() for part in ("--scale", f"{name}={count}")]
        run(*self._command, "up", "-d", *scale, *services)

    def stop(self, service: str) -> None:
        """Stops every container of a service."""
        run(*self._command, "stop", service)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers, the newest first."""
        labels = {"project": self._project, "service": service}
        filters = [f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels.items()]
        return run("docker", "ps", "-q", *filters).split()

    def down(self) -> None:
        """Removes all of it, its volumes too."""
        run(*self._command, "down", "-v", "-t", "10")


def inspect(container: str) -> dict[str, Any]:
    """What Docker knows of a container."""
    [known] = json.loads(run("docker", "inspect", container))
    return dict(known)


def is_healthy(container: str) -> bool:
    """Whether its health check says so."""
    return bool(inspect(container)["State"]["Health"]["Status"] == "healthy")


def has_image(image: str) -> bool:
    """Whether an image is here, or can be pulled."""
    for command in (["image", "inspect"], ["pull", "-q"]):
        done = subprocess.run(
            ["docker", *command, image], capture_output=True, check=False, timeout=_TIMEOUT_S
        )
        if done.returncode == 0:
            return True
    return False

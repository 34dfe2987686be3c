"""The images by themselves: as any user, on a file system that nobody can write to."""

from pathlib import Path

import httpx
import pytest

from framebus.local_broker.ports import free_ports
from tests.docker.compose import Compose, inspect, is_healthy, run
from tests.pictures import jpeg
from tests.workers import wait_until

AS_ANYBODY = ["--user", "23456:34567", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
IMAGES = ["framebus-producer", "framebus-control-api", "framebus-consumer", "framebus"]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def serve_image(compose: Compose) -> str:
    run("docker", "build", "-f", "infra/docker/Dockerfile", "-t", "framebus:0.1.0", ".", timeout=1800)
    return "framebus:0.1.0"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_belongs_to_nobody(image: str, serve_image: str) -> None:
    image = f"{image}:0.1.0"
    config = inspect(image)["Config"]

    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][1] == "is-alive"
    anybody = ["docker", "run", "--rm", *AS_ANYBODY]
    assert "Camera frames in" in run(*anybody, image, "--help")
    written = run(*anybody, "--entrypoint", "sh", image, "-c", "touch /opt/framebus/x 2>&1 || true")
    assert "Read-only file system" in written


def test_one_container_serves_the_rest_api_without_kafka(serve_image: str, models_directory: Path) -> None:
    """As the old service was started, for an arbitrary user."""
    [port] = free_ports(1)
    mounted, published = f"{models_directory}:/models:ro", f"127.0.0.1:{port}:4343"
    container = run("docker", "run", "-d", *AS_ANYBODY, "-v", mounted, "-p", published, serve_image).strip()
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_healthy(container), 240)
        files = {"input_data": ("picture.jpg", jpeg(), "image/jpeg")}
        answer = httpx.post(f"{url}/models/pedestrian/predict", files=files, timeout=120)
        assert answer.json()["success"] is True, answer.text
        run("docker", "stop", "-t", "60", container)
        assert inspect(container)["State"]["ExitCode"] == 0
    finally:
        run("docker", "rm", "-f", container)

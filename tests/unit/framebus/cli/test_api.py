import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from framebus.cli import app
from framebus.errors import ModelError, SettingsError
from tests.workers import wait_until


def test_tokens_that_make_no_sense_are_refused() -> None:
    result = CliRunner(env={"FRAMEBUS_API__READ_TOKEN": "the token of readers"}).invoke(app, ["api"])

    assert isinstance(result.exception, SettingsError)
    assert "FRAMEBUS_API__ADMIN_TOKEN" in str(result.exception)


def test_without_a_models_directory_it_does_not_start(tmp_path: Path) -> None:
    result = CliRunner(env={"FRAMEBUS_MODELS_DIR": str(tmp_path / "nowhere")}).invoke(app, ["api"])

    assert isinstance(result.exception, ModelError)
    assert "no models directory" in str(result.exception)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_a_broker_it_waits_and_ends_when_it_is_told(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "FRAMEBUS_API__PORT": str(port),
        "FRAMEBUS_MODELS_DIR": str(tmp_path),
        "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
    }
    command = [sys.executable, "-m", "framebus.cli", "api"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: is_up(f"http://127.0.0.1:{port}"))
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
        assert ready.status_code == 503
        assert "is a broker there at 127.0.0.1" in ready.json()["reason"]

        process.send_signal(number)

        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        assert "Traceback" not in log
    finally:
        process.kill()
        process.wait()

"""The `framebus` commands on a secure Kafka, as the users and with the permissions of docs/security.md."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import AclBinding  # type: ignore[attr-defined]  # without __all__

from tests.integration.framebus_process import FramebusProcess
from tests.pictures import jpeg
from tests.quick_model import install_quick_model
from tests.secure_kafka import SecureKafka, read_acls

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
MODEL = "pedestrian"
PREFIX = "FRAMEBUS_KAFKA__OPTIONS__"
# Far less than the minutes for which programs wait for a broker that does not answer.
TIMEOUT_S = 30.0


def documented_acls(user: str, name: str | None = None) -> list[AclBinding]:
    """What the page allows a user; for the user of another name who is to have the same."""
    lines = re.findall(rf"^    acls {user} (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [acl for options in lines for acl in read_acls(f"--allow-principal User:{name or user} {options}")]


class SecurePrograms:
    """Runs commands on a broker; a context that ends those which still run.

    Args:
        kafka: Has the users.
        directory: For a model, a picture and logs.
    """

    def __init__(self, kafka: SecureKafka, directory: Path) -> None:
        self._kafka = kafka
        self._directory = directory
        self._model = install_quick_model(directory, MODEL, call_s=0)
        self._pictures = directory / "pictures"
        self._pictures.mkdir()
        (self._pictures / "1.jpg").write_bytes(jpeg())
        self._started = 0
        self._processes = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._processes.close()

    def camera(self, name: str) -> str:
        """A camera that takes one picture a second, for `produce`."""
        return f"--camera={name}={self._pictures}"

    def environment(self, user: str) -> dict[str, str]:
        """What a program is told to sign in as a user; the password stands in a file."""
        options = self._kafka.options(user)
        del options["sasl.password"]
        options["sasl.password.file"] = str(self._kafka.password_file(user))
        return {
            **self._model,
            "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            **as_variables(options),
        }

    def run(
        self, user: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, which has to come soon."""
        ports = dict.fromkeys(("FRAMEBUS_CONSUMER__HTTP_PORT", "FRAMEBUS_PRODUCER__HTTP_PORT"), "0")
        return subprocess.run(
            [sys.executable, "-m", "framebus.cli", *arguments],
            env={**os.environ, **ports, **self.environment(user), **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def start(
        self, user: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> FramebusProcess:
        """Starts a command that runs until it is stopped."""
        self._started += 1
        process = FramebusProcess(
            f"{arguments[0]}-{self._started}",
            *arguments,
            environment={**self.environment(user), **(environment or {})},
            directory=self._directory,
        )
        self._processes.callback(process.kill)
        return process


def as_variables(options: Mapping[str, str]) -> dict[str, str]:
    """Options of librdkafka as settings."""
    return {f"{PREFIX}{name.replace('.', '_').upper()}": value for name, value in options.items()}


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a command refused, after those of its log."""
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith(("error: ", '{"program": "framebus", "event": ')), done.stderr
    return last

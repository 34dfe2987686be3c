"""Apache Kafka in a Docker container."""

import time
from pathlib import Path
from typing import Any, NoReturn

from framebus.errors import SettingsError, TransportError
from framebus.local_broker.apache import SINGLE_NODE_PROPERTIES
from framebus.local_broker.broker import BrokerKind, LocalBroker
from framebus.local_broker.ports import LOOPBACK, answers, require_free

IMAGE = "apache/kafka:4.4.0"
_CONTAINER_PORT = 9092
_START_TIMEOUT_S = 120.0
_LOG_LINES_SHOWN = 15
_INSTEAD = "or use --broker apache (Java 17+ and Maven) or --broker tansu"


class DockerBroker(LocalBroker):
    """One node of Apache Kafka in a container, by testcontainers; its first start pulls the image.

    Raises:
        SettingsError: A data directory was given; the data lives and dies with the container.
    """

    kind = BrokerKind.DOCKER

    def __init__(self, port: int = 0, data_directory: Path | None = None) -> None:
        if data_directory is not None:
            raise SettingsError(
                f"--data-dir {data_directory}: the docker broker keeps its data in the container; "
                "use --broker apache, or leave --data-dir out"
            )
        super().__init__(port)
        self._container: Any = None

    def start(self) -> None:  # noqa: D102
        try:
            from docker.errors import DockerException  # type: ignore[import-untyped]
            from testcontainers.core.container import DockerContainer
        except ImportError as error:
            raise SettingsError(
                "the docker broker needs testcontainers 4.15 or newer: "
                f"`pip install 'testcontainers>=4.15'`, {_INSTEAD}"
            ) from error
        require_free(self.port)
        try:
            self._container = DockerContainer(IMAGE, env=self._environment())
            self._container.ports = {str(_CONTAINER_PORT): (LOOPBACK, self.port)}
            self._container.start()
            self._wait_until_it_answers()
        except BaseException as error:
            self.stop()
            if isinstance(error, DockerException | TimeoutError | RuntimeError):  # what testcontainers raises
                raise TransportError(
                    f"the docker broker does not start: {error}; "
                    f"is Docker's daemon running, and may you use it? See `docker info`, {_INSTEAD}"
                ) from error
            raise

    def stop(self) -> None:  # noqa: D102
        container, self._container = self._container, None
        if container is not None:
            container.stop()

    def wait(self) -> NoReturn:  # noqa: D102
        exit_code = self._container.wait()
        raise TransportError(f"the docker broker ended by itself, exit code {exit_code}; see `docker logs`")

    def _environment(self) -> dict[str, str]:
        """Kafka's properties, as the image takes them.

        Clients are told to come to this machine's port. In the container nobody listens there: the broker,
        which is a client of its own for transactions, has another way.
        """
        properties = SINGLE_NODE_PROPERTIES | {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": "1@localhost:9093",
            "listeners": f"CLIENTS://:{_CONTAINER_PORT},BROKER://localhost:9094,CONTROLLER://localhost:9093",
            "advertised.listeners": f"CLIENTS://{self.bootstrap_servers},BROKER://localhost:9094",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "BROKER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENTS:PLAINTEXT",
        }
        environment = {"KAFKA_" + name.upper().replace(".", "_"): properties[name] for name in properties}
        return environment | {"KAFKA_HEAP_OPTS": "-Xms256m -Xmx768m"}

    def _wait_until_it_answers(self) -> None:
        container = self._container.get_wrapped_container()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not answers(self.port):
            container.reload()
            if container.status == "running" and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            lines = container.logs(tail=_LOG_LINES_SHOWN).decode(errors="replace").splitlines()
            end_of_log = "\n  ".join(["its log ends with:", *lines])
            raise TransportError(f"the docker broker, {container.status}, does not answer; {end_of_log}")

"""Apache Kafka in a Docker container."""

from pathlib import Path
from typing import Any, NoReturn

from framebus.errors import SettingsError, TransportError
from framebus.local_broker.apache import SINGLE_NODE_PROPERTIES
from framebus.local_broker.broker import BrokerKind, LocalBroker
from framebus.local_broker.ports import LOOPBACK, require_free

_CONTAINER_PORT = 9093  # where testcontainers has Kafka listen for clients
_START_TIMEOUT_S = 120
_INSTEAD = "or use --broker apache (Java 17+ and Maven) or --broker tansu"


class DockerBroker(LocalBroker):
    """Testcontainers' Kafka container, in KRaft mode; its first start pulls an image of about 1 GB.

    It was written without a Docker daemon at hand: only its errors are tested, not that it starts.

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
            from testcontainers.community.kafka import KafkaContainer
        except ImportError as error:
            raise SettingsError(
                "the docker broker needs testcontainers 4.15 or newer: "
                f"`pip install 'testcontainers>=4.15'`, {_INSTEAD}"
            ) from error
        require_free(self.port)
        try:
            self._container = KafkaContainer().with_kraft()
            self._container.ports = {str(_CONTAINER_PORT): (LOOPBACK, self.port)}
            self._container.with_env("KAFKA_HEAP_OPTS", "-Xms256m -Xmx768m")
            for name, value in SINGLE_NODE_PROPERTIES.items():
                self._container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
            self._container.start(timeout=_START_TIMEOUT_S)
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

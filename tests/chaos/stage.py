"""What a scenario plays on, and what it hands back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from framebus.local_broker import LocalBroker
from framebus.settings import Settings
from tests.chaos.accounting import Account

_PARTITIONS = 6

Length = TypeVar("Length", int, float)


class Delivery(StrEnum):
    """The guarantees there are."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"


class BrokenGuaranteeError(Exception):
    """Something happened after which a scenario cannot go on."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario plays on.

    Attributes:
        settings: With the broker to use.
        broker: It runs, and keeps its data when it is stopped.
        delivery: What the consumers are told to guarantee.
        directory: For logs and models.
        is_short: Whether this is only to show that the scenario works.
        say: Told in words how it goes on.
    """

    settings: Settings
    broker: LocalBroker
    delivery: Delivery
    directory: Path
    is_short: bool
    say: Callable[[str], None]

    @property
    def servers(self) -> str:
        """Where clients find the broker."""
        return self.broker.bootstrap_servers

    def length(self, full: Length, short: Length) -> Length:
        """How often or how long something is done."""
        return short if self.is_short else full


def on_broker(settings: Settings, broker: LocalBroker) -> Settings:
    """The settings, with this broker."""
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap_servers": broker.bootstrap_servers}),
            "topics": settings.topics.model_copy(update={"partitions": _PARTITIONS}),
        }
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """What a scenario found.

    Attributes:
        done: What was done, in words.
        account: What became of the frames; None where there were none.
        figures: What else was measured, with units, by what it is.
        broken: Which guarantees did not hold, in words.
    """

    done: str
    account: Account | None
    figures: Mapping[str, object]
    broken: Sequence[str] = field(default=())

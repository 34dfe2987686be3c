"""The scenarios there are."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from tests.chaos.broker import broker
from tests.chaos.kill import kill
from tests.chaos.membership import membership
from tests.chaos.mutations import mutations
from tests.chaos.sigterm import sigterm
from tests.chaos.soak import soak
from tests.chaos.stage import Delivery, Finding, Stage
from tests.chaos.throughput import throughput


class Scenario(StrEnum):
    """What can be done."""

    KILL = "kill"
    BROKER = "broker"
    MEMBERSHIP = "membership"
    SIGTERM = "sigterm"
    SOAK = "soak"
    MUTATIONS = "mutations"
    THROUGHPUT = "throughput"


class Plan(NamedTuple):
    """How a scenario is played, and with which deliveries; None: it is not about one of them."""

    play: Callable[[Stage], Finding]
    deliveries: Sequence[Delivery | None]


PLANS = {
    Scenario.KILL: Plan(kill, tuple(Delivery)),
    Scenario.BROKER: Plan(broker, tuple(Delivery)),
    Scenario.MEMBERSHIP: Plan(membership, tuple(Delivery)),
    Scenario.SIGTERM: Plan(sigterm, tuple(Delivery)),
    Scenario.SOAK: Plan(soak, tuple(Delivery)),
    Scenario.MUTATIONS: Plan(mutations, [None]),
    Scenario.THROUGHPUT: Plan(throughput, [None]),
}

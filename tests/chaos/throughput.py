"""What exactly-once delivery costs: a backlog drained by one consumer, with either delivery in turn."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.chaos.publishing import publish_backlog, small_pictures, street_pictures
from tests.chaos.reading import Answer
from tests.chaos.run import BATCH, Run
from tests.chaos.stage import Delivery, Finding, Stage

ROUNDS = 5
_LEAST_RATIO = 0.85
_QUICK_CALL_S = 0.02
# Left out at either end, where the pipeline fills and empties.
_EDGE = 0.1


@dataclass(frozen=True, slots=True)
class _Load:
    call_s: float | None
    frames: int
    pictures: Sequence[bytes]


def throughput(stage: Stage) -> Finding:
    """Measures both deliveries with the real model, and with an engine as quick as a GPU."""
    rounds = stage.length(ROUNDS, 1)
    quick = _Load(_QUICK_CALL_S, stage.length(6_000, 600), small_pictures())
    loads = {f"an engine for {BATCH / _QUICK_CALL_S:.0f} frames/s, 160x120": quick}
    if not stage.is_short:  # the model alone takes longer to load than a short round
        loads["the real model, 640x272"] = _Load(None, 800, street_pictures(stage.settings))
    figures: dict[str, object] = {}
    broken: list[str] = []
    for name, load in loads.items():
        rates: dict[Delivery, list[float]] = {delivery: [] for delivery in Delivery}
        for number in range(1, rounds + 1):
            # Who goes first changes, so that neither always has the warmer machine.
            for delivery in list(Delivery) if number % 2 else reversed(Delivery):
                rate, faults = _drain(replace(stage, delivery=delivery), load)
                rates[delivery].append(rate)
                broken += faults
                stage.say(f"{name}, round {number} of {rounds}, {delivery}: {rate:.0f} frames/s")
        medians = {delivery: statistics.median(own) for delivery, own in rates.items()}
        ratio = medians[Delivery.EXACTLY_ONCE] / medians[Delivery.AT_LEAST_ONCE]
        for delivery, median in medians.items():
            least, most = min(rates[delivery]), max(rates[delivery])
            figures[f"{name}: {delivery}, frames/s"] = f"{median:.1f} ({least:.1f} to {most:.1f})"
        figures[f"{name}: ratio"] = round(ratio, 2)
        if ratio < _LEAST_RATIO and not stage.is_short:
            broken.append(f"{name}: exactly once has {ratio:.2f} of the throughput of at least once")
    return Finding(
        f"a backlog drained by one consumer, {rounds} times with either delivery, medians",
        None,
        figures,
        broken,
    )


def _drain(stage: Stage, load: _Load) -> tuple[float, Sequence[str]]:
    with Run(stage, call_s=load.call_s) as run:
        frames = publish_backlog(stage.servers, run.topic, load.pictures, load.frames)
        run.add_consumer()
        _, broken = run.settle(frames, once=True)
        return frames_per_s(run.subscriber.answers), broken


def frames_per_s(answers: Sequence[Answer]) -> float:
    """The rate at which the broker took answers, without the beginning and the end."""
    appended_ms = sorted(answer.appended_ms for answer in answers)
    edge = int(len(appended_ms) * _EDGE)
    first, last = edge, len(appended_ms) - 1 - edge
    return (last - first) * 1000 / (appended_ms[last] - appended_ms[first])

"""Two consumers share the partitions; one is told to stop, later the other is killed: is anything lost?"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import pairwise

from tests.tools.camera_load.bench import Bench, Seen
from tests.tools.camera_load.installation import Consumer, Installation
from tests.tools.camera_load.reading import Answer
from tests.tools.camera_load.report import Report, Row


def takeover(bench: Bench) -> Report:
    """Stops one of two consumers a third in; two thirds in it is started again, and the other killed."""
    installation = Installation(bench.settings, [bench.model], bench.logs)
    happened_ms: dict[str, float] = {}
    with ExitStack() as stack:
        first = stack.enter_context(installation.consumer())
        second = stack.enter_context(installation.consumer())
        again: list[Consumer] = []

        def stop_first() -> None:
            happened_ms["one told to stop"] = time.time() * 1000
            first.ask_to_stop()

        def start_first_and_kill_second() -> None:
            happened_ms["it is back, the other killed"] = time.time() * 1000
            second.kill()
            again.append(installation.start_consumer())
            stack.callback(again[0].kill)

        happened_ms["publishing"] = time.time() * 1000
        load = bench.publish(
            installation,
            [(bench.seconds / 3, stop_first), (bench.seconds * 2 / 3, start_first_and_kill_second)],
        )
        first.stop()
        installation.wait_until_committed(bench.model)
        again[0].stop()
    seen = Seen(installation, bench.model)
    return {
        "load": [load],
        "frames": [asdict(seen.account())],
        "service": list(_service(seen, happened_ms)),
    }


def _service(seen: Seen, happened_ms: Mapping[str, float]) -> Iterator[Row]:
    """What each event did to the answers that came before the next."""
    ends_ms = [*list(happened_ms.values())[1:], float("inf")]
    partitions = {answer.position[1] for answer in seen.answers}
    for (event, from_ms), to_ms in zip(happened_ms.items(), ends_ms, strict=True):
        yield {
            "after": event,
            "longest silence s": _silence_s(seen.answers, from_ms, to_ms),
            "longest silence of a partition s": max(
                _silence_s(
                    [answer for answer in seen.answers if answer.position[1] == partition], from_ms, to_ms
                )
                for partition in partitions
            ),
            "longest wait for an answer s": max(
                answer.age_ms / 1000 for answer in seen.answers if from_ms < answer.appended_ms <= to_ms
            ),
        }


def _silence_s(answers: Sequence[Answer], from_ms: float, to_ms: float) -> float:
    """The longest time between two answers, of which the second came between two moments."""
    gaps_ms = (
        after - before
        for before, after in pairwise(sorted(answer.appended_ms for answer in answers))
        if from_ms < after <= to_ms
    )
    return max(gaps_ms, default=0.0) / 1000

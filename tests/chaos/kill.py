"""kill -9 of one of three consumers under load, again and again: at random moments and at named points."""

import random
import time
from collections import Counter

from tests.chaos.accounting import account, longest_silence_s
from tests.chaos.doomed_consumer import Point
from tests.chaos.processes import Process
from tests.chaos.publishing import small_pictures, steadily
from tests.chaos.reading import read_answers
from tests.chaos.run import STEADY_CALL_S, Run
from tests.chaos.stage import Delivery, Finding, Stage

KILLS = 20
_FRAMES_PER_S = 120.0
"""Three quarters of what two consumers serve."""

_AT_RANDOM = "at random"
_PAUSE_S = (0.5, 3.0)
# Calls of the engine, acknowledged records, commits.
_MOST_PASSES = {Point.ENGINE: 10, Point.PRODUCE: 80, Point.COMMIT: 4, Point.TRANSACTION: 4}


def kill(stage: Stage) -> Finding:
    """Kills, waits until every partition is answered again, and goes on."""
    points: list[Point | None] = [Point.PRODUCE, Point.COMMIT, Point.ENGINE, None]
    if stage.delivery is Delivery.EXACTLY_ONCE:
        points.insert(0, Point.TRANSACTION)
    kills, frames_per_s = stage.length(KILLS, 1), stage.length(_FRAMES_PER_S, 40.0)
    plan = [points[number % len(points)] for number in range(kills)]
    chance = random.Random(0)
    with Run(stage, call_s=STEADY_CALL_S) as run:

        def add(point: Point | None) -> Process:
            if point is None:
                return run.add_consumer()
            return run.add_doomed_consumer(point, chance.randint(1, _MOST_PASSES[point]))

        add(None)
        add(None)
        victim = add(plan[0])
        publisher = run.publish(small_pictures(), steadily(frames_per_s))
        run.wait_until_all_answer()
        began_ms = time.time() * 1000
        for number, point in enumerate(plan, 1):
            time.sleep(chance.uniform(*_PAUSE_S))
            if point is None:
                victim = chance.choice(run.consumers)
                run.kill(victim)
            else:
                run.await_death(victim)
            stage.say(f"kill {number} of {kills}: {point or _AT_RANDOM}")
            victim = add(plan[number] if number < kills else None)
            run.wait_until_all_answer()
        ended_ms = time.time() * 1000
        publisher.finish()
        found, broken = run.settle(publisher.frames)
        figures: dict[str, object] = {
            "kills": ", ".join(
                f"{count} {where}" for where, count in Counter(point or _AT_RANDOM for point in plan).items()
            ),
            "longest silence of a partition, s": round(
                longest_silence_s(run.subscriber.answers, began_ms, ended_ms), 1
            ),
        }
        if stage.delivery is Delivery.EXACTLY_ONCE:
            everything = read_answers(stage.servers, run.detections, run.topic, "read_uncommitted")
            seen = account(publisher.frames, everything)
            figures["duplicates for a read_uncommitted reader"] = seen.duplicates
    return Finding(
        f"kill -9 of one of three consumers, {kills} times, at {frames_per_s:.0f} frames/s",
        found,
        figures,
        broken,
    )

"""SIGTERM to a consumer at full load, with the real model, several times."""

import random
import time

from tests.chaos.publishing import ahead_of, street_pictures
from tests.chaos.run import STEADY_CALL_S, Run
from tests.chaos.stage import Finding, Stage

TIMES = 5
_FRAMES_AHEAD = 400
_ANSWERS_BEFORE = 150
_PAUSE_S = (0.0, 1.0)


def sigterm(stage: Stage) -> Finding:
    """Starts a consumer on a topic that is never empty, stops it in the middle, and starts the next."""
    times, chance = stage.length(TIMES, 1), random.Random(0)
    drains_s: list[float] = []
    # The model alone takes longer to load than a short run.
    with Run(stage, call_s=STEADY_CALL_S if stage.is_short else None) as run:
        answers = run.subscriber.answers
        publisher = run.publish(
            street_pictures(stage.settings), ahead_of(lambda: len(answers), stage.length(_FRAMES_AHEAD, 150))
        )
        for number in range(1, times + 1):
            consumer = run.add_consumer()
            run.wait_for_answers(stage.length(_ANSWERS_BEFORE, 50))
            time.sleep(chance.uniform(*_PAUSE_S))
            drains_s.append(run.stop(consumer))
            stage.say(f"SIGTERM {number} of {times}: ended well after {drains_s[-1]:.2f} s")
        publisher.finish()
        run.add_consumer()
        found, broken = run.settle(publisher.frames, once=True)
    return Finding(
        f"SIGTERM at full load with the real model, {times} times",
        found,
        {"exit code": 0, "from SIGTERM to the end, s": ", ".join(f"{one:.2f}" for one in drains_s)},
        broken,
    )

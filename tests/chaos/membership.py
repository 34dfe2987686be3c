"""Consumers join and leave all the time, as in a rolling restart that never ends."""

import random
import time

from tests.chaos.accounting import longest_silence_s
from tests.chaos.publishing import small_pictures, steadily
from tests.chaos.run import STEADY_CALL_S, Run
from tests.chaos.stage import Finding, Stage

SECONDS = 300.0
_MOST_CONSUMERS = 4
_FRAMES_PER_S = 60.0
"""Three quarters of what one consumer serves."""

_PAUSE_S = (1.0, 8.0)


def membership(stage: Stage) -> Finding:
    """Starts consumers and stops them with SIGTERM at random, one to four at once."""
    chance = random.Random(0)
    seconds = stage.length(SECONDS, 6.0)
    pause_s = stage.length(1.0, 0.25)
    joined = left = 0
    with Run(stage, call_s=STEADY_CALL_S) as run:
        run.add_consumer()
        publisher = run.publish(small_pictures(), steadily(_FRAMES_PER_S))
        run.wait_until_all_answer()
        began_ms = time.time() * 1000
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            count = len(run.consumers)
            if count == 1 or (count < _MOST_CONSUMERS and chance.random() < 0.5):
                run.add_consumer()
                joined += 1
            else:
                run.stop(chance.choice(run.consumers))
                left += 1
            stage.say(f"{len(run.consumers)} consumers; {joined} joined, {left} left")
            time.sleep(chance.uniform(*_PAUSE_S) * pause_s)
        ended_ms = time.time() * 1000
        publisher.finish()
        found, broken = run.settle(publisher.frames)
    return Finding(
        f"consumers joining and leaving for {seconds:.0f} s, up to {_MOST_CONSUMERS} at once, "
        f"at {_FRAMES_PER_S:.0f} frames/s",
        found,
        {
            "joined": joined,
            "left": left,
            "longest silence of a partition, s": round(
                longest_silence_s(run.subscriber.answers, began_ms, ended_ms), 1
            ),
        },
        broken,
    )

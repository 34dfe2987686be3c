"""The broker is stopped for half a minute and started again, five times, while everything runs."""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tests.chaos.publishing import small_pictures
from tests.chaos.reading import Answer
from tests.chaos.run import STEADY_CALL_S, Run
from tests.chaos.stage import Finding, Stage
from tests.tools.camera_load.reading import PublishedFrame, read_frames

TIMES = 5
SECONDS = 30.0
_CAMERAS = 8
_FRAMES_PER_S = 5.0
"""Of each camera."""

_BUFFER_FRAMES = 4_096
"""Of the producer: as many as come in 100 s, and so more than while the broker is away and comes up."""

_CONSUMERS = 2
_ANSWERS_BEFORE = 200


def broker(stage: Stage) -> Finding:
    """Stops it, waits, starts it on its data and port, and takes the time until the first new answer."""
    times, away_s = stage.length(TIMES, 1), stage.length(SECONDS, 3.0)
    recoveries_s: list[float] = []
    pictures = stage.directory / "pictures"
    pictures.mkdir()
    for number, picture in enumerate(small_pictures()):
        (pictures / f"{number}.jpg").write_bytes(picture)
    with Run(
        stage, call_s=STEADY_CALL_S, restarts=True, FRAMEBUS_PRODUCER__MAX_BUFFER_FRAMES=str(_BUFFER_FRAMES)
    ) as run:
        for _ in range(_CONSUMERS):
            run.add_consumer()
        cameras = [part for number in range(_CAMERAS) for part in ("--camera", f"cam-{number}={pictures}")]
        producer = run.start(
            "producer",
            *("-m", "framebus.cli", "produce", *cameras, "--loop", "--fps", str(_FRAMES_PER_S), "--json"),
            FRAMEBUS_TOPICS__FRAMES=run.topic,
        )
        for number in range(1, times + 1):
            run.wait_for_answers(stage.length(_ANSWERS_BEFORE, 50))
            stage.broker.stop()
            try:
                time.sleep(away_s)
            finally:
                stage.broker.start()
            recoveries_s.append(_recovery_s(run))
            stage.say(f"outage {number} of {times}: first answer {recoveries_s[-1]:.1f} s after its end")
        run.wait_for_answers(stage.length(_ANSWERS_BEFORE, 50))
        producer.stop()
        summary = json.loads(producer.output().splitlines()[-1])
        frames = read_frames(stage.servers, run.topic)
        found, broken = run.settle(frames)
    of_producer = faults(frames, acknowledged=summary["published"], dropped=summary["dropped"])
    return Finding(
        f"broker stopped for {away_s:.0f} s, {times} times, with `framebus produce` at "
        f"{_CAMERAS * _FRAMES_PER_S:.0f} frames/s and {_CONSUMERS} consumers",
        found,
        {
            "acknowledged to the producer": summary["published"],
            "dropped and counted by the producer": summary["dropped"],
            "frames that the topic lacks": of_producer.missing,
            "from the broker's answering to the first answer, s": ", ".join(
                f"{one:.1f}" for one in recoveries_s
            ),
            "consumers that ended by themselves and were started again": run.restarted,
        },
        [*broken, *of_producer.broken],
    )


def _recovery_s(run: Run) -> float:
    """How long a subscriber waits from now on for an answer that is new."""
    began_ms, known = time.time() * 1000, len(run.subscriber.answers)

    def new_answers() -> list[Answer]:
        return [answer for answer in run.subscriber.answers[known:] if answer.appended_ms >= began_ms]

    run.wait_until(lambda: bool(new_answers()), "the first answer after an outage")
    return (new_answers()[0].seen_ms - began_ms) / 1000


class ProducerFaults(NamedTuple):
    """What is wrong between a producer's summary and the topic.

    Attributes:
        missing: Numbers that the topic lacks of those that the producer gave to the frames of each camera.
        broken: Which guarantees did not hold, in words.
    """

    missing: int
    broken: Sequence[str]


def faults(frames: Sequence[PublishedFrame], *, acknowledged: int, dropped: int) -> ProducerFaults:
    """Holds the frames of a topic against what their producer says of them.

    A frame that was dropped may be on the topic all the same, if it was the broker's word that was lost.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    for frame in frames:
        numbers[frame.camera_id].append(int(frame.frame_id.rpartition("-")[2]))
    different = sum(len(set(own)) for own in numbers.values())
    missing = sum(max(own) for own in numbers.values()) - different
    counts = {
        "frames that were acknowledged and are not on the topic": acknowledged - different,
        "frames that neither the topic nor the producer's count of drops has": missing - dropped,
        "frames that are on the topic twice": len(frames) - different,
    }
    return ProducerFaults(missing, [f"{count} {what}" for what, count in counts.items() if count > 0])

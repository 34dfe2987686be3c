"""A consumer at full load for twenty minutes, with the real model, measured from outside."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from tests.chaos.processes import Process
from tests.chaos.publishing import ahead_of, street_pictures
from tests.chaos.run import Run
from tests.chaos.stage import Finding, Stage

SECONDS = 1_200.0
_FRAMES_AHEAD = 400
_WARM_UP = 0.15
_MOST_MB_PER_MINUTE = 1.0
_MOST_DESCRIPTORS = 4
_RETENTION = {"retention.bytes": str(64 * 2**20), "segment.bytes": str(16 * 2**20)}
"""Of each partition; some hundred times what is ahead."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at the consumer; seconds are monotonic."""

    at_s: float
    resident_mb: float
    file_descriptors: int
    threads: int
    answers: int
    lag: int

    def in_words(self) -> str:
        """For a line of progress."""
        return (
            f"{self.resident_mb:.1f} MB, {self.file_descriptors} file descriptors, {self.threads} threads, "
            f"{self.answers} answers, lag {self.lag}"
        )


def soak(stage: Stage) -> Finding:
    """Keeps the topic ahead of the consumer by so many frames, and looks at it now and then."""
    seconds, frames_ahead = stage.length(SECONDS, 4.0), stage.length(_FRAMES_AHEAD, 80)
    with Run(stage) as run:
        _bound(stage.servers, run.topic)
        answers = run.subscriber.answers
        publisher = run.publish(street_pictures(stage.settings), ahead_of(lambda: len(answers), frames_ahead))
        consumer = run.add_consumer()
        run.wait_until_all_answer()
        samples: list[Sample] = []
        began_s = said_s = time.monotonic()

        def looked_long_enough() -> bool:
            nonlocal said_s
            samples.append(_look(consumer, len(publisher.frames), len(answers)))
            if samples[-1].at_s - said_s > stage.length(60.0, 2.0):
                said_s = samples[-1].at_s
                stage.say(f"{said_s - began_s:.0f} of {seconds:.0f} s: {samples[-1].in_words()}")
            return samples[-1].at_s - began_s > seconds

        run.wait_until(
            looked_long_enough, "the end", timeout_s=float("inf"), interval_s=stage.length(5.0, 0.5)
        )
        publisher.finish()
        found, broken = run.settle(publisher.frames, once=True)
    warm = [sample for sample in samples if sample.at_s - began_s > seconds * _WARM_UP]
    slope = slope_per_minute(warm)
    descriptors = [sample.file_descriptors for sample in warm]
    threads = [sample.threads for sample in warm]
    most_lag = max(sample.lag for sample in warm)
    faults = {
        f"memory grows by {slope:.2f} MB/min": not stage.is_short and slope >= _MOST_MB_PER_MINUTE,
        f"file descriptors from {min(descriptors)} to {max(descriptors)}": max(descriptors) - min(descriptors)
        > _MOST_DESCRIPTORS,
        f"lag of {most_lag} frames": most_lag > 2 * frames_ahead,
    }
    return Finding(
        f"{seconds / 60:.1f} min at full load with the real model",
        found,
        {
            "frames/s": round((warm[-1].answers - warm[0].answers) / (warm[-1].at_s - warm[0].at_s), 1),
            "memory slope after warm-up, MB/min": round(slope, 2),
            "memory at the end, MB": round(warm[-1].resident_mb),
            "file descriptors": f"{min(descriptors)} to {max(descriptors)}",
            "threads": f"{min(threads)} to {max(threads)}",
            "largest lag, frames": most_lag,
        },
        [*broken, *(fault for fault, is_there in faults.items() if is_there)],
    )


def slope_per_minute(samples: Sequence[Sample]) -> float:
    """How fast memory grows, in MB per minute: the straight line with the least squares of distances."""
    minutes = np.array([sample.at_s / 60 for sample in samples])
    return float(np.polyfit(minutes - minutes[0], [sample.resident_mb for sample in samples], 1)[0])


def _look(consumer: Process, published: int, answered: int) -> Sample:
    return Sample(
        time.monotonic(),
        consumer.resident_mb(),
        consumer.file_descriptors(),
        consumer.threads(),
        answered,
        published - answered,
    )


def _bound(servers: str, topic: str) -> None:
    """Has the broker delete what is old, so that a long run fits the disk."""
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.alter_configs([ConfigResource("topic", topic, configs=_RETENTION)])
    admin.close()

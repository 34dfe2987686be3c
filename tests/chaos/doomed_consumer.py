"""`framebus consume` that kills itself where it hurts: python -m tests.chaos.doomed_consumer POINT PASSES.

All of it is the product but the two classes of the Kafka client and the engine: they count how often the
point is passed from SIGUSR1 on, and at the last of so many passes the process sends itself SIGKILL.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import confluent_kafka

from framebus.detections import Detections
from framebus.frames import Image
from tests import engines


class Point(StrEnum):
    """Where it dies."""

    ENGINE = "after the engine"
    PRODUCE = "between produce and acknowledgement"
    COMMIT = "between acknowledgement and commit"
    TRANSACTION = "between offsets and commit of the transaction"


class Death:
    """Comes at the last of so many passes, counted from SIGUSR1 on."""

    def __init__(self, point: Point, passes: int) -> None:
        self._point = point
        self._passes = passes
        self._lock = threading.Lock()
        self._is_armed = False

    def arm(self) -> None:
        """Counts from now on."""
        self._is_armed = True

    def passing(self, point: Point, before: Callable[[], object] = lambda: None) -> None:
        """The process is at this point; `before` is done when it is to die here."""
        if point is not self._point or not self._is_armed:
            return
        with self._lock:
            self._passes -= 1
            if self._passes <= 0:
                before()
                os.kill(os.getpid(), signal.SIGKILL)


def doom(death: Death) -> None:
    """Replaces the classes, before anything of framebus has taken hold of them."""
    assert "framebus.bus.kafka" not in sys.modules

    class Producer(confluent_kafka.Producer):
        def produce(self, *arguments: Any, **options: Any) -> None:
            on_delivery = options.pop("on_delivery")

            def delivered(*report: Any) -> None:
                # The broker has it, and the consumer does not know yet.
                death.passing(Point.PRODUCE)
                on_delivery(*report)

            super().produce(*arguments, **{**options, "on_delivery": delivered})

        def send_offsets_to_transaction(self, *arguments: Any) -> None:
            death.passing(Point.COMMIT, before=self.flush)
            super().send_offsets_to_transaction(*arguments)

        def commit_transaction(self, *arguments: Any) -> None:
            death.passing(Point.TRANSACTION)
            super().commit_transaction(*arguments)

    class Consumer(confluent_kafka.Consumer):
        def commit(self, *arguments: Any, **options: Any) -> Any:
            death.passing(Point.COMMIT)
            return super().commit(*arguments, **options)

    class Engine(engines.ScriptedEngine):
        def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
            found = super().detect(images, least_score)
            death.passing(Point.ENGINE)
            return found

    confluent_kafka.Producer = Producer  # type: ignore[misc]
    confluent_kafka.Consumer = Consumer  # type: ignore[misc]
    engines.ScriptedEngine = Engine  # type: ignore[misc]


def main(point: str, passes: str) -> None:
    """See above."""
    death = Death(Point(point), int(passes))
    signal.signal(signal.SIGUSR1, lambda *_: death.arm())
    doom(death)
    from framebus.cli import main as framebus

    sys.argv[1:] = ["consume", "--devices", "cpu"]
    framebus()


if __name__ == "__main__":
    main(*sys.argv[1:])

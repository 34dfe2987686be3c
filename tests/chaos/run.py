"""Consumers of one group, cameras that publish to it, and a subscriber who notes what comes of it."""

import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from framebus.resources import cache_directory
from framebus.samples import fetch, read_samples
from framebus.topics import detections_topic
from tests.chaos.accounting import Account, account
from tests.chaos.doomed_consumer import Point
from tests.chaos.processes import Process
from tests.chaos.publishing import IsDue, Publisher
from tests.chaos.reading import Subscriber
from tests.chaos.stage import BrokenGuaranteeError, Delivery, Stage
from tests.quick_model import install_quick_model
from tests.tools.camera_load.installation import Installation
from tests.tools.camera_load.reading import PublishedFrame, end_offsets, read_dead_letters

BATCH = 8
"""Frames per call of the engines that take no core."""

STEADY_CALL_S = 0.1
"""How long each call takes: 80 frames/s, as a sample model does on a few cores."""

_SAMPLE = "pedestrian"
# The shortest that brokers allow.
_SHORT = {"FRAMEBUS_KAFKA__CONSUMER_OPTIONS__SESSION_TIMEOUT_MS": "6000"}
_LOOK_INTERVAL_S = 0.1
# Longer than the watchdog of a consumer takes to end it.
_ANSWER_TIMEOUT_S = 180.0
_QUIET_TIMEOUT_S = 180.0


class Group(Installation):
    """A topic of frames, and the processes that work on it."""

    def start(self, name: str, command: Sequence[str], **environment: str) -> Process:
        """Starts any program with the settings of the group."""
        self._started += 1
        return Process(
            f"{name}-{self._started}", [sys.executable, *command], self._environment | environment, self._logs
        )


class Run:
    """One play of a scenario; a context that ends every process at its end.

    Args:
        stage: Where it plays.
        call_s: How long each call takes of an engine that takes no core; None: the real model, on TensorFlow.
        restarts: Whether a consumer that ends by itself is started again, as a supervisor would, or a broken
            guarantee.
        **environment: Settings of all processes.
    """

    def __init__(
        self, stage: Stage, *, call_s: float | None = None, restarts: bool = False, **environment: str
    ) -> None:
        self._servers = stage.servers
        self._delivery = stage.delivery
        self._restarts = restarts
        self.restarted = 0
        """Consumers that ended by themselves and were started again."""
        self._model = f"chaos-{uuid.uuid4().hex[:8]}"
        model = (
            _real_model(stage, self._model)
            if call_s is None
            else install_quick_model(stage.directory / self._model, self._model, call_s=call_s)
        )
        self.group = Group(
            stage.settings,
            [self._model],
            stage.directory,
            environment={
                "FRAMEBUS_DELIVERY": stage.delivery,
                "FRAMEBUS_CONSUMER__HTTP_PORT": "0",
                "FRAMEBUS_PRODUCER__HTTP_PORT": "0",
                **(_SHORT if stage.is_short else {}),
                **model,
                **environment,
            },
        )
        self.topic = self.group.topic
        self.detections = detections_topic(self._model)
        self.consumers: list[Process] = []
        """Those that should run."""
        self.subscriber = Subscriber(self._servers, self.detections, self.topic, "read_committed")
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        self._ends.enter_context(self.subscriber)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ends.close()

    def publish(self, pictures: Sequence[bytes], is_due: IsDue) -> Publisher:
        """Starts cameras."""
        return self._ends.enter_context(Publisher(self._servers, self.topic, pictures, is_due))

    def start(self, name: str, *command: str, **environment: str) -> Process:
        """Starts any program with the settings of the group."""
        process = self.group.start(name, command, **environment)
        self._ends.callback(process.kill)
        return process

    def add_consumer(self) -> Process:
        """Starts one more consumer."""
        consumer = self.start("consumer", "-m", "framebus.cli", "consume", "--devices", "cpu")
        self.consumers.append(consumer)
        return consumer

    def add_doomed_consumer(self, point: Point, passes: int) -> Process:
        """Starts one more consumer, which dies at this point once `await_death` says so."""
        consumer = self.start("doomed", "-m", "tests.chaos.doomed_consumer", point, str(passes))
        self.consumers.append(consumer)
        return consumer

    def kill(self, consumer: Process) -> None:
        """Sends SIGKILL to a consumer."""
        self.consumers.remove(consumer)
        consumer.kill()

    def await_death(self, doomed: Process) -> None:
        """Tells a doomed consumer to die when it is at its point next."""
        self.consumers.remove(doomed)
        doomed.send(signal.SIGUSR1)
        self.wait_until(lambda: doomed.exit_code is not None, f"the death of {doomed.name}")
        if doomed.exit_code != -signal.SIGKILL:
            raise BrokenGuaranteeError(f"exit code {doomed.exit_code} before its death: {doomed.log_file}")

    def stop(self, consumer: Process) -> float:
        """Sends SIGTERM to a consumer; returns after how many seconds it had ended, well."""
        self.consumers.remove(consumer)
        return consumer.stop()

    def wait_until(
        self,
        condition: Callable[[], bool],
        what: str,
        *,
        timeout_s: float = _ANSWER_TIMEOUT_S,
        interval_s: float = _LOOK_INTERVAL_S,
    ) -> None:
        """Looks now and then whether something is so, while everything runs that should.

        Raises:
            BrokenGuaranteeError: A consumer ended, or it took too long.
        """
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            self.subscriber.check()
            self._check_consumers()
            if time.monotonic() > deadline_s:
                raise BrokenGuaranteeError(f"waited {timeout_s:.0f} s in vain for {what}")
            time.sleep(interval_s)

    def _check_consumers(self) -> None:
        for consumer in [one for one in self.consumers if one.exit_code is not None]:
            if not self._restarts or consumer.exit_code == 0:
                raise BrokenGuaranteeError(f"exit code {consumer.exit_code} by itself: {consumer.log_file}")
            self.consumers.remove(consumer)
            self.add_consumer()
            self.restarted += 1

    def wait_for_answers(self, count: int) -> None:
        """Returns when the subscriber has so many more."""
        enough = len(self.subscriber.answers) + count
        self.wait_until(lambda: len(self.subscriber.answers) >= enough, f"{count} answers")

    def wait_until_all_answer(self) -> None:
        """Returns when the broker was given answers to frames of every partition since now."""
        numbers = set(end_offsets(self._servers, self.topic))
        now_ms, known = time.time() * 1000, len(self.subscriber.answers)

        def all_answer() -> bool:
            new = (answer for answer in self.subscriber.answers[known:] if answer.appended_ms > now_ms)
            return {answer.position[1] for answer in new} >= numbers

        self.wait_until(all_answer, "answers from every partition")

    def settle(
        self, frames: Sequence[PublishedFrame], *, once: bool = False
    ) -> tuple[Account, Sequence[str]]:
        """Waits until these frames are answered or nothing moves, stops the consumers, and accounts.

        Args:
            frames: What was published.
            once: Whether each has to be answered once only, though at least once is what is promised.

        Returns:
            What became of them, and which guarantees did not hold, in words.

        Raises:
            BrokenGuaranteeError: A consumer did not end well.
        """
        self._wait_until_quiet({frame.position for frame in frames})
        self._stop_all()
        self.subscriber.catch_up()
        dead = read_dead_letters(self._servers, self.group.dead, self._model)
        found = account(frames, self.subscriber.answers, dead)
        broken = found.broken(once=once or self._delivery is Delivery.EXACTLY_ONCE)
        ends, committed = end_offsets(self._servers, self.topic), self.group.committed(self._model)
        if ends != committed:
            broken.append(f"all consumers stopped, and committed is {committed} of {ends}")
        return found, broken

    def _stop_all(self) -> None:
        consumers, self.consumers = self.consumers, []
        for consumer in consumers:
            consumer.send(signal.SIGTERM)
        for consumer in consumers:
            consumer.wait_for_good_end()

    def _wait_until_quiet(self, positions: set[tuple[str, int, int]]) -> None:
        moved_s, last = time.monotonic(), -1

        def is_quiet() -> bool:
            nonlocal moved_s, last
            if (count := len(self.subscriber.answers)) != last:
                moved_s, last = time.monotonic(), count
                return count >= len(positions) and positions <= {
                    one.position for one in self.subscriber.answers
                }
            return time.monotonic() - moved_s > _QUIET_TIMEOUT_S

        self.wait_until(is_quiet, "quiet", timeout_s=float("inf"))


def _real_model(stage: Stage, name: str) -> Mapping[str, str]:
    """Gives the sample model a name of its own, for a topic of its own."""
    sample = read_samples()[_SAMPLE]
    models: Path = cache_directory(stage.settings) / "models"
    fetch(sample, stage.settings.model_copy(update={"models_dir": models}))
    links = stage.directory / "models"
    links.mkdir(exist_ok=True)
    (links / name).symlink_to(models.resolve() / _SAMPLE)
    return {"FRAMEBUS_MODELS_DIR": str(links)}

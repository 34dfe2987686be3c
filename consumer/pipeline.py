"""The way a frame takes: poll -> decode -> batch -> engine -> release in order -> publish -> commit.

Each stage runs on threads of its own and hands frames on without blocking; what bounds them all is the number
of frames, and of bytes, between the poll that brought them and the broker's acknowledgement of the outcome.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from consumer.assignment import Assignment
from consumer.dead_letter import DeadLetters
from consumer.decoder import Decoder
from consumer.flight import FlyingFrame
from consumer.inference import Inference
from consumer.intake import Intake
from consumer.limits import Limit
from consumer.lookahead import Lookahead
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.publisher import Publisher
from consumer.release import Release
from consumer.waiting import WaitingFrames
from framebus.bus import BusConsumer, BusProducer, Partition
from framebus.errors import FrameError, TopicMissingError
from framebus.logs import get_logger
from framebus.routes import Routes
from framebus.settings import Settings

_WAIT_S = 0.1
# How long a stage may take to end once nothing is in flight; one that hangs does not hold up the exit.
_STAGE_END_S = 1.0
_LAST_COMMIT_S = 5.0
# Longer than this without a turn of the loop, or without a finished frame, is no longer slowness.
_STALL_S = 60.0

log = get_logger("consumer")


class Pipeline:
    """One consumer's pipeline for one model, with queues, limits and a position of its own.

    Args:
        settings: All settings.
        routes: Which topics feed which models.
        host: The model, loaded.
        consumer: Member of the model's group; owned by the thread that calls `run`.
        producer: Owned by the publish stage.
        metrics: Where everything is counted.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        routes: Routes,
        host: ModelHost,
        consumer: BusConsumer,
        producer: BusProducer,
        metrics: ConsumerMetrics,
    ) -> None:
        limits = settings.consumer
        self._settings = settings
        self._routes = routes
        self._host = host
        self._consumer = consumer
        self._metrics = metrics
        self.model = model = host.in_force.name
        self._topics = routes.topics_of(model, ())
        self._joined_topics: list[str] = []

        self._lookahead = Lookahead(host.batch_size)
        self._waiting = WaitingFrames(ahead=self._lookahead.frames)
        self._decoded = Limit(limits.max_in_flight_frames, limits.max_decoded_bytes)
        self._dead_letters = DeadLetters(settings.topics, model)
        self._publisher = Publisher(
            producer, acknowledged=self._acknowledged, shrink=self._dead_letters.shrink
        )
        self._release = Release(self._publisher.put, _land)
        self._inference = Inference(
            host=host,
            max_batch_delay_s=limits.max_batch_delay_ms / 1000,
            decoded=self._decoded,
            complete=self._release.complete,
            reject=self._reject,
            metrics=metrics,
            begins=self._waiting.went_on,
            ended=self._called,
        )
        self._decoder = Decoder(
            waiting=self._waiting,
            max_pixels=limits.max_frame_pixels,
            decoded=self._decoded,
            accept=self._inference.put,
            reject=self._reject,
            drop=self._drop,
        )
        self._assignment = Assignment(
            model=model,
            consumer=consumer,
            commit_interval_s=limits.commit_interval_ms / 1000,
            revoke_timeout_s=limits.drain_timeout_s,
            given_away=self._give_away,
            has_failed=lambda: self._failure is not None,
            metrics=metrics,
        )
        self._intake = Intake(
            model=model,
            routes=routes,
            consumer=consumer,
            assignment=self._assignment,
            limits=limits,
            accept=self._accept,
        )
        self.has_ended = False
        """Whether no thread of it runs any more."""
        self._turned_s = self._acknowledged_s = time.monotonic()
        self._failure: BaseException | None = None

        for queue, stage in (
            ("decode", self._waiting),
            ("engine", self._inference),
            ("publish", self._publisher),
        ):
            metrics.queued_frames.labels(model, queue).set_function(stage.__len__)
        metrics.in_flight_frames.labels(model).set_function(lambda: self._intake.frames)
        metrics.in_flight_bytes.labels(model, "encoded").set_function(lambda: self._intake.bytes)
        metrics.in_flight_bytes.labels(model, "decoded").set_function(lambda: self._decoded.bytes)

    @property
    def not_ready(self) -> str | None:
        """What keeps frames from being processed, in words; None if nothing does."""
        if not self._topics:
            return "no topic matches its routes yet"
        if not self._assignment.joined:
            return "waiting for the group to assign partitions"
        if not self._consumer.is_connected:
            return "no broker can be reached"
        if self._intake.frames == 0:
            return None
        silent_s = time.monotonic() - max(self._acknowledged_s, self._intake.busy_since_s)
        return f"no frame was finished for {silent_s:.0f} s" if silent_s > _STALL_S else None

    @property
    def not_alive(self) -> str | None:
        """Why the pipeline is stuck, in words; None if it is not."""
        silent_s = time.monotonic() - self._turned_s
        return f"the poll loop hangs for {silent_s:.0f} s" if silent_s > _STALL_S else None

    def follow(self, topics: list[str]) -> None:
        """Reads these topics from now on; may be called by any thread while the pipeline runs."""
        self._topics = topics

    def run(self, stop: threading.Event) -> None:
        """Processes frames until `stop` is set, then finishes and commits what is in flight.

        Raises:
            TransportError: The bus failed for good. Nothing after the last acknowledged frame was committed.
        """
        stages = [
            *self._start("decode", self._decoder.run, self._settings.consumer.decode_threads),
            *self._start("engine", self._inference.run, self._host.concurrency),
            *self._start("publish", self._publisher.run, 1),
        ]
        try:
            while not stop.is_set() and self._failure is None:
                self._turned_s = time.monotonic()
                self._turn()
            if self._failure is None:
                self._drain()
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            self._assignment.leave()
            self._waiting.close()
            self._inference.close()
            self._publisher.close()
        if self._failure is not None:
            raise self._failure
        for stage in stages:
            stage.join(_STAGE_END_S)
        self.has_ended = not any(stage.is_alive() for stage in stages)

    def _start(self, name: str, run: Callable[[], None], threads: int) -> list[threading.Thread]:
        def guarded() -> None:
            try:
                run()
            except BaseException as error:
                self._failure = self._failure or error

        # Daemons, so that an engine that hangs cannot keep a failed process alive.
        started = [
            threading.Thread(target=guarded, name=f"{self.model}-{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in started:
            thread.start()
        return started

    def _turn(self) -> None:
        topics = self._topics
        if topics != self._joined_topics:
            log.info("reading topics", model=self.model, topics=topics)
            self._assignment.join(topics)
            self._joined_topics = topics
        try:
            if topics:
                self._intake.poll()
            else:  # for what the bus has to tell
                self._consumer.poll(0, _WAIT_S)
        except TopicMissingError as error:
            if error.topic in self._routes.topics:
                raise
            log.warning("a topic is gone", model=self.model, topic=error.topic)
            # If it is there again, `follow` will tell.
            self._topics = [topic for topic in topics if topic != error.topic]
        self._assignment.commit_when_due()

    def _accept(self, flying: FlyingFrame) -> None:
        self._release.admit(flying)
        older = self._waiting.put(flying)
        if older is not None:
            self._drop(older, "superseded")
        # One frame always fits, however large it is.
        while flying.only_latest and flying.in_flight.room() == 0 and flying.in_flight.frames > 1:
            oldest = self._waiting.evict()
            if oldest is None:
                break
            self._drop(oldest, "no_room")

    def _called(self, frames: int, call_s: float) -> None:
        self._lookahead.observe(frames, call_s)
        self._waiting.allow_ahead(self._lookahead.frames)

    # What becomes of a frame: detections (by the inference stage), a dead letter, or nothing at all.

    def _reject(self, flying: FlyingFrame, error: FrameError) -> None:
        self._release.complete(flying, self._dead_letters.write(flying, error))

    def _drop(self, flying: FlyingFrame, reason: str) -> None:
        if not flying.abandoned:  # else its new owner decides
            self._metrics.dropped.labels(self._metrics.camera(flying.camera_id), self.model, reason).inc()
        self._release.leave_out(flying)
        flying.offsets.finish(flying.record.offset)
        _land(flying)

    def _acknowledged(self, flying: FlyingFrame) -> None:
        camera = self._metrics.camera(flying.camera_id)
        if flying.error is not None:
            self._metrics.dead_letters.labels(camera, self.model, flying.error.reason).inc()
        elif flying.captured_at is not None:
            self._metrics.frames.labels(camera, self.model).inc()
            self._metrics.detections.labels(camera, self.model).inc(flying.detections)
            age_s = (datetime.now(UTC) - flying.captured_at).total_seconds()
            self._metrics.end_to_end.labels(self.model).observe(max(age_s, 0))
        flying.offsets.finish(flying.record.offset)
        self._acknowledged_s = time.monotonic()
        _land(flying)

    def _give_away(self, partition: Partition) -> None:
        self._intake.forget(partition)
        self._release.abandon(partition)

    def _drain(self) -> None:
        log.info("told to stop, finishing what is in flight", model=self.model, frames=self._intake.frames)
        deadline_s = time.monotonic() + self._settings.consumer.drain_timeout_s
        while not self._intake.wait_until_empty(_WAIT_S):
            if self._failure is not None:
                return
            if time.monotonic() > deadline_s:
                break
        if self._intake.frames == 0:
            log.info("all frames are finished", model=self.model)
        else:
            log.warning(
                "frames still in flight at the end of the drain time-out; they will be read again",
                model=self.model,
                frames=self._intake.frames,
            )
        self._assignment.commit_all(_LAST_COMMIT_S)


def _land(flying: FlyingFrame) -> None:
    flying.in_flight.give_back(flying.held_bytes)

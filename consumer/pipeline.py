"""The way a frame takes: poll -> decode -> batch -> engine -> release in order -> publish -> commit.

Each stage runs on threads of its own and hands frames on without blocking; what bounds them all is the number
of frames, and of bytes, between the poll that brought them and the broker's acknowledgement of the outcome.
"""

import threading
import time

from consumer.answers import Answers
from consumer.assignment import Assignment
from consumer.dead_letter import DeadLetters
from consumer.decoder import Decoder
from consumer.flight import FlyingFrame
from consumer.frame_trace import NewTrace, Untraced
from consumer.inference import Inference
from consumer.intake import Intake
from consumer.limits import Limit
from consumer.lookahead import Lookahead
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.outcomes import DeadShare, Outcomes
from consumer.publisher import Publisher
from consumer.pulse import Pulse
from consumer.release import Release
from consumer.stages import Stages
from consumer.suspects import Suspects
from consumer.transactions import TransactionalPublisher
from consumer.turn import Turn
from consumer.waiting import WaitingFrames
from framebus.bus import BusConsumer, BusProducer, Partition, TransactionalProducer
from framebus.errors import ProcessKilledError, TopicMissingError
from framebus.logs import get_logger
from framebus.routes import Routes
from framebus.settings import Settings

_WAIT_S = 0.1
# So many times as many frames are in flight where they wait for their transaction: the engine goes on with
# half of them while the other half is committed.
_TRANSACTION_FACTOR = 4
# How long a stage may take to end once nothing is in flight; one that hangs does not hold up the exit.
_STAGE_END_S = 1.0
_LAST_COMMIT_S = 5.0

log = get_logger("consumer")


class Pipeline:
    """One consumer's pipeline for one model, with queues, limits and a position of its own.

    Args:
        settings: All settings.
        routes: Which topics feed which models.
        host: The model, loaded.
        consumer: Member of the model's group; owned by the thread that calls `run`.
        producer: Owned by the publish stage; with a transactional one, each frame is answered exactly once.
        metrics: Where everything is counted.
        trace: Made for each frame, to tell of it.
        alone: Shared by the pipelines of a process: held by the one that runs a frame alone.
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
        trace: NewTrace = Untraced,
        alone: Turn | None = None,
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
        dead_letters = DeadLetters(settings.topics, model)
        self._publisher = (
            TransactionalPublisher(
                producer,
                membership=lambda: self._assignment.membership,
                tracked=lambda: self._assignment.tracked(),
                acknowledged=lambda flying: self._outcomes.acknowledged(flying),
                discard=FlyingFrame.land,
                shrink=dead_letters.shrink,
                interval_s=limits.transaction_interval_ms / 1000,
                max_frames=limits.max_in_flight_frames * (_TRANSACTION_FACTOR // 2),
                patience_s=settings.kafka.patience_s,
            )
            if isinstance(producer, TransactionalProducer)
            else Publisher(
                producer,
                acknowledged=lambda flying: self._outcomes.acknowledged(flying),
                shrink=dead_letters.shrink,
            )
        )
        self._release = Release(self._publisher.put, FlyingFrame.land)
        self._outcomes = Outcomes(
            model=model,
            dead_letters=dead_letters,
            release=self._release,
            landed=FlyingFrame.land,
            dead_share=DeadShare(limits.max_dead_share, limits.dead_window_frames),
            metrics=metrics,
        )
        self.inference = Inference(
            host=host,
            max_batch_delay_s=limits.max_batch_delay_ms / 1000,
            metrics=metrics,
            begins=self._waiting.went_on,
            ended=self._called,
        )
        """The engine stage, which pictures of no stream may go through, too."""
        answers = Answers(
            inference=self.inference,
            decoded=self._decoded,
            complete=self._release.complete,
            reject=self._outcomes.reject,
            metrics=metrics,
        )
        self._decoder = Decoder(
            waiting=self._waiting,
            max_bytes=settings.topics.max_message_bytes,
            max_pixels=limits.max_frame_pixels,
            decoded=self._decoded,
            accept=answers.ask,
            reject=self._outcomes.reject,
            drop=self._outcomes.drop,
        )
        exactly_once = isinstance(producer, TransactionalProducer)
        self._assignment = Assignment(
            model=model,
            consumer=consumer,
            commit_interval_s=None if exactly_once else limits.commit_interval_ms / 1000,
            patience_s=settings.kafka.patience_s,
            revoke_timeout_s=limits.drain_timeout_s,
            assigned=lambda partitions: self._suspects.look_up(partitions),
            given_away=self._give_away,
            has_failed=lambda: self._stages.failure is not None,
            metrics=metrics,
        )
        max_frames = limits.max_in_flight_frames * (_TRANSACTION_FACTOR if exactly_once else 1)
        self._suspects = Suspects(
            model=model,
            consumer=consumer,
            assignment=self._assignment,
            max_in_flight_frames=max_frames,
        )
        self._intake = Intake(
            model=model,
            routes=routes,
            consumer=consumer,
            assignment=self._assignment,
            suspects=self._suspects,
            alone=alone or Turn(),
            max_frames=max_frames,
            max_bytes=limits.max_in_flight_bytes,
            keeps_offset_order=exactly_once,
            trace=trace,
            accept=self._accept,
            condemn=self._condemn,
        )
        self.has_ended = False
        """Whether no thread of it runs any more."""
        self._pulse = Pulse(
            settings,
            is_connected=lambda: consumer.is_connected,
            waiting_since_s=self._waiting_since_s,
            longest_call_s=lambda: self.inference.longest_call_s,
        )
        self._stages = Stages(model)

        for queue, stage in (
            ("decode", self._waiting),
            ("engine", self.inference),
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
        return self._pulse.not_ready

    @property
    def is_connected(self) -> bool:
        """Whether a broker can be reached."""
        return self._consumer.is_connected

    @property
    def not_alive(self) -> str | None:
        """What is stuck for longer than the settings allow, in words; None if nothing is."""
        return self._pulse.not_alive

    @property
    def silent_s(self) -> float:
        """How long its poll loop has made no turn."""
        return self._pulse.silent_s

    def _waiting_since_s(self) -> float | None:
        if self._intake.frames == 0:
            return None
        return max(self._outcomes.acknowledged_s, self._intake.busy_since_s)

    def follow(self, topics: list[str]) -> None:
        """Reads these topics from now on; may be called by any thread while the pipeline runs."""
        self._topics = topics

    def run(self, stop: threading.Event) -> None:
        """Processes frames until `stop` is set, then finishes and commits what is in flight.

        Raises:
            TransportError: The bus failed for good. Nothing after the last acknowledged frame was committed.
        """
        self._stages.start("decode", self._decoder.run, self._settings.consumer.decode_threads)
        self._stages.start("engine", self.inference.run, self._host.concurrency)
        self._stages.start("publish", self._publisher.run)
        try:
            while not stop.is_set() and self._stages.failure is None:
                self._pulse.beat()
                self._turn()
            if self._stages.failure is None:
                self._drain()
        except BaseException as error:
            self._stages.fail(error)
        finally:
            self._pulse.end()
            self._assignment.leave()
            self._waiting.close()
            self.inference.close()
            self._publisher.close()
        self.has_ended = self._stages.join(_STAGE_END_S)
        if self._stages.failure is not None:
            raise self._stages.failure

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
            self._outcomes.drop(older, "superseded")
        # One frame always fits, however large it is.
        while flying.only_latest and flying.in_flight.room() == 0 and flying.in_flight.frames > 1:
            oldest = self._waiting.evict()
            if oldest is None:
                break
            self._outcomes.drop(oldest, "no_room")

    def _called(self, frames: int, call_s: float) -> None:
        self._lookahead.observe(frames, call_s)
        self._waiting.allow_ahead(self._lookahead.frames)

    def _condemn(self, flying: FlyingFrame) -> None:
        self._release.admit(flying)
        self._outcomes.reject(flying, ProcessKilledError())

    def _give_away(self, partition: Partition) -> None:
        self._intake.forget(partition)
        self._suspects.forget(partition)
        self._release.abandon(partition)

    def _drain(self) -> None:
        log.info("told to stop, finishing what is in flight", model=self.model, frames=self._intake.frames)
        deadline_s = time.monotonic() + self._settings.consumer.drain_timeout_s
        while not self._intake.wait_until_empty(_WAIT_S):
            self._pulse.beat()
            self._assignment.renew_membership()
            if self._stages.failure is not None:
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

"""The way a frame takes: poll -> decode -> batch -> engine -> release in order -> publish -> commit.

Each stage runs on threads of its own and hands frames on without blocking; what bounds them all is the number
of frames, and of bytes, between the poll that brought them and the broker's acknowledgement of the outcome.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest

from consumer.assignment import Assignment
from consumer.decoder import Decoder
from consumer.flight import FlyingFrame
from consumer.inference import Inference
from consumer.limits import Limit
from consumer.metrics import ConsumerMetrics
from consumer.model_host import ModelHost
from consumer.publisher import Publisher
from consumer.release import Release
from framebus import wire
from framebus.bus import BusConsumer, BusProducer, OutgoingRecord, Partition, Record
from framebus.errors import FrameError, FrameTooLargeError
from framebus.logs import get_logger
from framebus.settings import Settings

_POLL_TIMEOUT_S = 0.1
# Records per poll: small enough that one poll cannot overshoot the bytes in flight by much.
_POLL_RECORDS = 16
# A dead letter of this size, without the picture, fits every topic that is of any use.
_SMALLEST_BYTES = 16_384
# How long a stage may take to end once nothing is in flight; one that hangs does not hold up the exit.
_STAGE_END_S = 1.0
_LAST_COMMIT_S = 5.0
# Longer than this without a turn of the loop, or without a finished frame, is no longer slowness.
_STALL_S = 60.0
# How long the pipeline may be full before the partitions are paused. Pausing throws away what was fetched
# ahead, so a pipeline that is merely busy should not.
_FULL_PATIENCE_S = 0.5

log = get_logger("consumer")


class Pipeline:
    """One consumer's pipeline for one model.

    Args:
        settings: All settings.
        host: The model, loaded.
        consumer: Member of the group; owned by the thread that calls `run`.
        producer: Owned by the publish stage.
        metrics: Where everything is counted.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        host: ModelHost,
        consumer: BusConsumer,
        producer: BusProducer,
        metrics: ConsumerMetrics,
    ) -> None:
        limits = settings.consumer
        self._settings = settings
        self._host = host
        self._consumer = consumer
        self._metrics = metrics

        self._in_flight = Limit(limits.max_in_flight_frames, limits.max_in_flight_bytes)
        self._decoded = Limit(limits.max_in_flight_frames, limits.max_decoded_bytes)
        self._publisher = Publisher(producer, acknowledged=self._acknowledged, shrink=self._shrink)
        self._release = Release(self._publisher.put, self._land)
        self._inference = Inference(
            host=host,
            max_batch_delay_s=limits.max_batch_delay_ms / 1000,
            decoded=self._decoded,
            complete=self._release.complete,
            reject=self._reject,
            metrics=metrics,
        )
        self._decoder = Decoder(
            model_name=host.in_force.name,
            max_pixels=limits.max_frame_pixels,
            decoded=self._decoded,
            accept=self._inference.put,
            reject=self._reject,
        )

        self._assignment = Assignment(
            consumer=consumer,
            commit_interval_s=limits.commit_interval_ms / 1000,
            revoke_timeout_s=limits.drain_timeout_s,
            given_away=self._give_away,
            has_failed=lambda: self._failure is not None,
            metrics=metrics,
        )
        self._paused: set[Partition] = set()
        self._turned_s = self._acknowledged_s = self._busy_since_s = time.monotonic()
        self._failure: BaseException | None = None

        for queue, stage in (
            ("decode", self._decoder),
            ("engine", self._inference),
            ("publish", self._publisher),
        ):
            metrics.queued_frames.labels(queue).set_function(stage.__len__)
        metrics.in_flight_frames.set_function(lambda: self._in_flight.frames)
        metrics.in_flight_bytes.labels("encoded").set_function(lambda: self._in_flight.bytes)
        metrics.in_flight_bytes.labels("decoded").set_function(lambda: self._decoded.bytes)

    @property
    def not_ready(self) -> str | None:
        """What keeps frames from being processed, in words; None if nothing does."""
        if not self._assignment.joined:
            return "waiting for the group to assign partitions"
        if not self._consumer.is_connected:
            return "no broker can be reached"
        if self._in_flight.frames == 0:
            return None
        silent_s = time.monotonic() - max(self._acknowledged_s, self._busy_since_s)
        return f"no frame was finished for {silent_s:.0f} s" if silent_s > _STALL_S else None

    @property
    def not_alive(self) -> str | None:
        """Why the pipeline is stuck, in words; None if it is not."""
        silent_s = time.monotonic() - self._turned_s
        return f"the poll loop hangs for {silent_s:.0f} s" if silent_s > _STALL_S else None

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
            self._assignment.join([self._settings.topics.frames])
            while not stop.is_set() and self._failure is None:
                self._turned_s = time.monotonic()
                self._poll()
                self._assignment.commit_when_due()
            if self._failure is None:
                self._drain()
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            self._assignment.leave()
            for _ in range(self._settings.consumer.decode_threads):
                self._decoder.close()
            self._inference.close()
            self._publisher.close()
        if self._failure is not None:
            raise self._failure
        for stage in stages:
            stage.join(_STAGE_END_S)

    def _start(self, name: str, run: Callable[[], None], threads: int) -> list[threading.Thread]:
        def guarded() -> None:
            try:
                run()
            except BaseException as error:
                self._failure = self._failure or error

        # Daemons, so that an engine that hangs cannot keep a failed process alive.
        started = [
            threading.Thread(target=guarded, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in started:
            thread.start()
        return started

    # From the bus

    def _poll(self) -> None:
        if self._paused:
            if not self._in_flight.is_half_empty():
                self._pause()
                self._consumer.poll(0, _POLL_TIMEOUT_S)
                return
            self._consumer.resume(sorted(self._paused & self._assignment.partitions))
            self._paused.clear()
        room = self._in_flight.room()
        if room == 0:
            if not self._in_flight.wait_for_room(_FULL_PATIENCE_S):
                self._pause()
            return
        for record in _in_turn(self._consumer.poll(min(room, _POLL_RECORDS), _POLL_TIMEOUT_S)):
            self._admit(record)

    def _pause(self) -> None:
        """Pauses what is assigned, and what came since the last time."""
        pausing = sorted(self._assignment.partitions - self._paused)
        if pausing:
            self._consumer.pause(pausing)
            self._paused.update(pausing)

    def _admit(self, record: Record) -> None:
        offsets = self._assignment.offsets_of(record.partition)
        if offsets is None:  # given away since it was fetched; its new owner reads it
            return
        flying = FlyingFrame(record, offsets, time.monotonic())
        if self._in_flight.frames == 0:
            self._busy_since_s = flying.polled_at
        self._in_flight.take(len(record.value))
        offsets.admit(record.offset)
        self._release.admit(flying)
        self._decoder.put(flying)

    def _give_away(self, partition: Partition) -> None:
        self._paused.discard(partition)
        self._release.abandon(partition)

    # To the bus

    def _reject(self, flying: FlyingFrame, error: FrameError) -> None:
        outcome = self._dead_letter(flying, error, self._settings.topics.max_message_bytes)
        self._release.complete(flying, outcome)

    def _shrink(self, flying: FlyingFrame, error: FrameTooLargeError) -> None:
        """Makes a dead letter of what is too large to publish, and of a dead letter its smallest form."""
        if flying.is_smallest:
            raise error
        flying.is_smallest = flying.error is not None
        max_bytes = _SMALLEST_BYTES if flying.is_smallest else self._settings.topics.max_message_bytes
        flying.outcome = self._dead_letter(flying, flying.error or error, max_bytes)

    def _dead_letter(self, flying: FlyingFrame, error: FrameError, max_bytes: int) -> OutgoingRecord:
        log.warning(
            "dead letter",
            camera=flying.camera_id,
            reason=error.reason,
            error=str(error),
            partition=flying.record.partition.number,
            offset=flying.record.offset,
        )
        flying.error = error
        return wire.encode_dead_letter(
            flying.record,
            error,
            topic=self._settings.topics.dead,
            model_name=self._host.in_force.name,
            max_bytes=max_bytes,
        )

    def _acknowledged(self, flying: FlyingFrame) -> None:
        camera = self._metrics.camera(flying.camera_id)
        model = self._host.in_force.name
        if flying.error is not None:
            self._metrics.dead_letters.labels(camera, flying.error.reason).inc()
        elif flying.captured_at is not None:
            self._metrics.frames.labels(camera, model).inc()
            self._metrics.detections.labels(camera, model).inc(flying.detections)
            age_s = (datetime.now(UTC) - flying.captured_at).total_seconds()
            self._metrics.end_to_end.labels(model).observe(max(age_s, 0))
        flying.offsets.finish(flying.record.offset)
        self._acknowledged_s = time.monotonic()
        self._land(flying)

    def _land(self, flying: FlyingFrame) -> None:
        self._in_flight.give_back(len(flying.record.value))

    def _drain(self) -> None:
        log.info("told to stop, finishing what is in flight", frames=self._in_flight.frames)
        deadline_s = time.monotonic() + self._settings.consumer.drain_timeout_s
        while not self._in_flight.wait_until_empty(_POLL_TIMEOUT_S):
            if self._failure is not None:
                return
            if time.monotonic() > deadline_s:
                break
        if self._in_flight.frames:
            log.warning(
                "frames still in flight at the end of the drain time-out; they will be read again",
                frames=self._in_flight.frames,
            )
        self._assignment.commit_all(_LAST_COMMIT_S)


def _in_turn(records: Sequence[Record]) -> Iterator[Record]:
    """Takes one record of each partition in turn, so that a busy partition does not hold up the others."""
    by_partition: dict[Partition, list[Record]] = {}
    for record in records:
        by_partition.setdefault(record.partition, []).append(record)
    return (record for record in chain(*zip_longest(*by_partition.values())) if record is not None)

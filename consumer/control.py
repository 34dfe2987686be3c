"""A worker's side of control: it reads what is desired, and says with every beat what it has."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from consumer.metrics import ConsumerMetrics
from consumer.models import Models
from framebus.bus import Bus, BusReader
from framebus.control import DesiredState, WorkerStatus, farewell_record, status_record
from framebus.errors import BusRefusedError, ControlRecordError, TransportError
from framebus.logs import get_logger
from framebus.settings import Settings
from framebus.topics import control_topic_specs

_POLL_TIMEOUT_S = 0.2
_RECORDS_PER_POLL = 500
_RETRY_INTERVAL_S = 1.0
_FAREWELL_TIMEOUT_S = 2.0
# Beats that no broker took; those behind them would say nothing new.
_MOST_UNDELIVERED = 2

log = get_logger("control")


class Control:
    """Follows the topic of commands, and reports; all on the one thread that calls `run`.

    Args:
        settings: All settings.
        bus: Where both topics are.
        models: What is desired goes there.
        metrics: The consumer's.
        address: Where the worker's HTTP port is reached.
        is_ready: Whether the worker is.
        is_stuck: Why it should not say a word, for its streams do not get on; None while they do.
        waiting: How many one-off predictions wait.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        bus: Bus,
        models: Models,
        metrics: ConsumerMetrics,
        address: str,
        is_ready: Callable[[], bool],
        is_stuck: Callable[[], str | None],
        waiting: Callable[[], int],
    ) -> None:
        self._topics = settings.topics
        self._beat_interval_s = settings.control.beat_interval_s
        self._patience_s = settings.kafka.patience_s
        self._bus = bus
        self._models = models
        self._metrics = metrics
        self._address = address
        self._is_ready = is_ready
        self._is_stuck = is_stuck
        self._waiting = waiting
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._started_at = datetime.now(UTC)
        self._producer = bus.producer()
        self._reader: BusReader | None = None
        self._desired = DesiredState()
        self._next_beat_s = 0.0
        # What the last beat told that those who wait for it want to know soon.
        self._told = (False, 0)

    def catch_up(self, stop: threading.Event) -> None:
        """Reads what is desired, from the first command to the last, or until told to stop.

        Raises:
            TransportError: The bus has not answered for as long as its settings allow.
        """
        deadline_s = time.monotonic() + self._patience_s
        while self._reader is None and not stop.is_set():
            try:
                self._open(stop)
            except TransportError as error:
                if isinstance(error, BusRefusedError) or time.monotonic() > deadline_s:
                    raise
                log.warning("commands cannot be read, trying again", error=str(error))
                stop.wait(_RETRY_INTERVAL_S)

    def _open(self, stop: threading.Event) -> None:
        self._reader = self._follow(stop)
        self._models.want(self._desired)

    def _follow(self, stop: threading.Event) -> BusReader:
        self._bus.admin().create_topics(control_topic_specs(self._topics))
        reader, self._desired = self._bus.reader(), DesiredState()
        try:
            reader.follow([self._topics.commands], from_start=True)
            while not reader.is_at_end and not stop.is_set():
                self._apply(reader, _POLL_TIMEOUT_S)
        except BaseException:
            reader.close()
            raise
        return reader

    def run(self, stop: threading.Event) -> None:
        """Follows and reports until told to stop, then says goodbye.

        Raises:
            BusRefusedError: The bus does not let this worker.
        """
        try:
            while not stop.is_set():
                try:
                    self._models.watch_configs()
                    self._beat()
                    self._turn(stop)
                except BusRefusedError:
                    raise
                except TransportError as error:
                    log.warning("the bus cannot be used for control, trying again", error=str(error))
                    self._forget_reader()
                    stop.wait(_RETRY_INTERVAL_S)
        finally:
            with suppress(TransportError):  # those who listen will miss the beats
                self._producer.publish(farewell_record(self._topics.workers, self._worker))
                self._producer.flush(_FAREWELL_TIMEOUT_S)
            self._producer.close()
            self._forget_reader()

    def _turn(self, stop: threading.Event) -> None:
        if self._reader is None:
            self._open(stop)
        elif self._apply(self._reader, _POLL_TIMEOUT_S):
            self._models.want(self._desired)

    def _apply(self, reader: BusReader, timeout_s: float) -> bool:
        """Takes what was read; returns whether that was anything."""
        records = reader.poll(_RECORDS_PER_POLL, timeout_s)
        for record in records:
            try:
                self._desired.apply(record)
            except ControlRecordError as error:
                log.warning("passed over a command that cannot be read", error=str(error))
        return bool(records)

    def _forget_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _beat(self) -> None:
        self._producer.poll(0)
        now_s = time.monotonic()
        is_ready, changes = self._is_ready(), self._models.changes
        is_due = now_s >= self._next_beat_s or (is_ready, changes) != self._told
        if not is_due or len(self._producer) >= _MOST_UNDELIVERED:
            return
        self._told = (is_ready, changes)
        self._next_beat_s = now_s + self._beat_interval_s
        if (reason := self._is_stuck()) is not None:
            log.warning("no beat", reason=reason)
            return
        status = WorkerStatus(
            worker=self._worker,
            address=self._address,
            started_at=self._started_at,
            is_ready=is_ready,
            waiting_predictions=self._waiting(),
            models=self._models.statuses(),
            cameras=self._metrics.rates.statuses(),
        )
        self._producer.publish(status_record(self._topics.workers, status))

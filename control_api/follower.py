"""Following a topic of control on a thread of its own, over any trouble of the bus."""

import threading
from typing import Protocol

from framebus.bus import Bus, Record, TopicSpec
from framebus.errors import BusRefusedError, ControlRecordError, TransportError
from framebus.logs import get_logger

_RETRY_INTERVAL_S = 1.0
_POLL_TIMEOUT_S = 0.2
_MAX_RECORDS = 500
_JOIN_TIMEOUT_S = 1.0

log = get_logger("api")


class Listener(Protocol):
    """Who is told what stands on a topic; all calls come from the follower's thread."""

    def restart(self) -> None:
        """Reading begins, or begins again."""
        ...

    def take(self, record: Record) -> None:
        """The next record.

        Raises:
            ControlRecordError: It makes no sense; it is left out.
        """
        ...

    def reached_end(self) -> None:
        """All was read that was there when reading began."""
        ...


class Follower:
    """Reads a topic as long as it runs; creates it if it is missing, and begins again if the bus is lost.

    Args:
        bus: Where it is.
        topic: What it should be like.
        from_start: Read all of it, and not only what comes from now on.
        listener: Who is told.
    """

    def __init__(self, bus: Bus, topic: TopicSpec, *, from_start: bool, listener: Listener) -> None:
        self._bus, self._topic, self._from_start, self._listener = bus, topic, from_start, listener
        self._stop = threading.Event()
        self._is_current = False
        self._thread = threading.Thread(target=self._run, name=topic.name, daemon=True)
        self.failure: Exception | None = None
        """Why it ended for good: somebody has to change the installation, or there is a bug."""

    @property
    def is_current(self) -> bool:
        """Whether the topic was read to its end, and the bus has not been lost since."""
        return self._is_current

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Tells it to end."""
        self._stop.set()

    def join(self) -> None:
        """Waits until it has ended, unless a broker that does not answer holds it up."""
        if self._thread.ident is not None:
            self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except BusRefusedError as error:
                self._is_current, self.failure = False, error
                return
            except TransportError as error:
                self._is_current = False
                log.warning("topic cannot be read, trying again", topic=self._topic.name, error=str(error))
                self._stop.wait(_RETRY_INTERVAL_S)
            except Exception as error:
                # Whoever runs this program ends it.
                self._is_current, self.failure = False, error
                raise

    def _follow(self) -> None:
        self._bus.admin().create_topics([self._topic])
        reader = self._bus.reader()
        try:
            self._listener.restart()
            reader.follow([self._topic.name], from_start=self._from_start)
            has_ended = False
            while not self._stop.is_set():
                for record in reader.poll(_MAX_RECORDS, _POLL_TIMEOUT_S):
                    self._take(record)
                if not has_ended and reader.is_at_end:
                    self._listener.reached_end()
                    has_ended = True
                self._is_current = has_ended and reader.is_connected
        finally:
            reader.close()

    def _take(self, record: Record) -> None:
        try:
            self._listener.take(record)
        except ControlRecordError as error:
            log.warning("record left out", topic=self._topic.name, error=str(error))

"""What all three kinds of client share: how they are made, and what becomes of their complaints."""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]  # it has no __all__

from framebus.bus.kafka.refusals import HOPELESS, is_refusal, refusal
from framebus.errors import BusRefusedError, SettingsError, TransportError
from framebus.logs import get_logger
from framebus.settings import KafkaSettings

_OWN_OPTIONS = {
    "bootstrap.servers": "set FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS instead",
    "group.id": "set FRAMEBUS_KAFKA__GROUP_ID instead",
    "enable.auto.commit": "offsets are committed when their detections are acknowledged",
    "enable.auto.offset.store": "offsets are committed when their detections are acknowledged",
    "transactional.id": "it is made of the group's name; set FRAMEBUS_DELIVERY",
}
_STATISTICS_INTERVAL_MS = 5_000
# Twice the longest wait between two attempts to connect.
_CUT_OFF_S = 20.0
_WITHOUT_ATTEMPT = frozenset({"INIT", "DOWN"})
_REQUEST_TIMEOUT_S = 15.0
_FIRST_STEP_S = 1.0
_RETRY_INTERVAL_S = 0.2
_REPEAT_INTERVAL_S = 30.0
# What differs between two lines that say the same: times, counts, and which client says it.
_PASSING_DETAIL = re.compile(r"\(after .*|#(consumer|producer)-\d+")

log = get_logger("bus")

Client = TypeVar("Client")


class _ToLog(logging.Handler):
    """Turns librdkafka's own lines into lines of our log; what repeats itself comes twice a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        what, now_s = _PASSING_DETAIL.sub("", message), time.monotonic()
        if now_s - self._last_s.get(what, -_REPEAT_INTERVAL_S) >= _REPEAT_INTERVAL_S:
            self._last_s[what] = now_s
            log.log(record.levelno, "librdkafka", message=message)


_librdkafka = logging.Logger("librdkafka")
_librdkafka.addHandler(_ToLog())


class Troubles:
    """What librdkafka says on its error callback: logged, and raised at the next call if it is hopeless.

    Args:
        bootstrap_servers: Where the brokers are.
        names: What an error is about, by its code, where librdkafka does not say.
        ends_at_fatal: Whether what is fatal for the client is hopeless; not where another takes its place.
    """

    def __init__(
        self, bootstrap_servers: str, names: Mapping[int, str] | None = None, *, ends_at_fatal: bool = True
    ) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._names = names or {}
        self._ends_at_fatal = ends_at_fatal
        self._hopeless: BusRefusedError | None = None
        self.last = ""
        """What was said last, in words."""

    def __call__(self, error: KafkaError) -> None:  # noqa: D102
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # says nothing of why
            self.last = error.str()
        # That a topic is missing comes with its name on the way of the records, too.
        is_hopeless = error.code() in HOPELESS - {KafkaError.UNKNOWN_TOPIC_OR_PART}
        if is_hopeless or is_refusal(error) or (error.fatal() and self._ends_at_fatal):
            self._hopeless = self.refusal(error)
        else:
            # librdkafka says the same on its log, and there it holds back what repeats itself.
            log.debug("broker trouble", broker=self.bootstrap_servers, error=error.str())

    def not_delivered(self, error: KafkaError, topic: str) -> None:
        """Told of each record that no broker took; that they take none from this user is raised next."""
        if is_refusal(error):
            self._hopeless = self.refusal(error, topic)

    def refusal(self, error: KafkaError, topic: str | None = None) -> BusRefusedError:
        """What to raise for what no waiting helps against."""
        broker_or_topic = f"broker {self.bootstrap_servers}" if topic is None else f"topic {topic}"
        return refusal(self._names.get(error.code(), broker_or_topic), error)

    def no_answer(self, error: KafkaException) -> TransportError:
        """What to raise for a request that no broker answered."""
        return TransportError(
            f"no broker answered at {self.bootstrap_servers}: {self.last or error.args[0].str()}; start one "
            "with `framebus broker`, set FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS, or mend the security options"
        )

    def raise_if_hopeless(self) -> None:
        """Raises what only a person can mend.

        Raises:
            BusRefusedError: What librdkafka said.
        """
        if self._hopeless is not None:
            raise self._hopeless


def topic_metadata(
    client: AdminClient | Consumer, troubles: Troubles, topic: str | None = None
) -> ClusterMetadata:
    """Asks any broker for all topics, or for one.

    In steps, for librdkafka itself goes on in silence where a password is wrong.

    Raises:
        BusRefusedError: The broker does not want us.
        TransportError: No broker answered.
    """
    deadline_s, step_s = time.monotonic() + _REQUEST_TIMEOUT_S, _FIRST_STEP_S
    while True:
        try:
            return client.list_topics(topic, timeout=step_s)
        except KafkaException as error:
            client.poll(0)  # the error callback may be told why
            troubles.raise_if_hopeless()
            if time.monotonic() > deadline_s:
                raise troubles.no_answer(error) from error
        time.sleep(_RETRY_INTERVAL_S)
        step_s = min(2 * step_s, max(deadline_s - time.monotonic(), _FIRST_STEP_S))


class Connection:
    """Whether a broker can be reached, as librdkafka's statistics tell it every few seconds.

    Args:
        client: What is connected, for the log.
        troubles: Of the same client.
        is_up: Whether a broker is there, as far as is known before.
    """

    def __init__(self, client: str, troubles: Troubles, *, is_up: bool = True) -> None:
        self._client = client
        self._troubles = troubles
        self.is_up = is_up
        self.is_cut_off = False
        """Whether the client tries no broker any more, and never will: only a new one helps.

        A broker that its controller does not let in yet answers with an empty list of brokers, and librdkafka
        forgets those that it knew (https://github.com/confluentinc/librdkafka/issues/5301).
        """

    @property
    def options(self) -> dict[str, Any]:
        """What a client needs to be told to be followed."""
        return {"statistics.interval.ms": _STATISTICS_INTERVAL_MS, "stats_cb": self._on_statistics}

    def _on_statistics(self, statistics: str) -> None:
        said = json.loads(statistics)
        brokers = said["brokers"].values()
        is_up = any(broker["state"] == "UP" for broker in brokers)
        if is_up != self.is_up:
            self.is_up = is_up
            say = log.info if is_up else log.warning
            say(
                "a broker is there again" if is_up else "no broker can be reached",
                client=self._client,
                broker=self._troubles.bootstrap_servers,
                **({} if is_up else {"error": self._troubles.last}),
            )
        self.is_cut_off = said["age"] > _CUT_OFF_S * 1e6 and not any(map(_is_tried, brokers))


def _is_tried(broker: Mapping[str, Any]) -> bool:
    is_real = broker["source"] in ("configured", "learned")
    return is_real and (broker["state"] not in _WITHOUT_ATTEMPT or broker["stateage"] < _CUT_OFF_S * 1e6)


def new_client(kind: Callable[..., Client], settings: KafkaSettings, options: Mapping[str, Any]) -> Client:
    """Makes a client of confluent-kafka.

    Args:
        kind: Its class.
        settings: Where the brokers are.
        options: All other options, by librdkafka's names.

    Raises:
        SettingsError: An option is unknown, has a wrong value, or is not the user's to set.
    """
    for option in {**settings.options, **settings.consumer_options, **settings.producer_options}:
        if option in _OWN_OPTIONS:
            raise SettingsError(f"the Kafka option {option} cannot be set: {_OWN_OPTIONS[option]}")
    try:
        return kind({"bootstrap.servers": settings.bootstrap_servers, "logger": _librdkafka, **options})
    except KafkaException as error:
        raise SettingsError(f"FRAMEBUS_KAFKA__...OPTIONS: {error.args[0].str()}") from error

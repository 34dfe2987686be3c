"""What all three kinds of client share: how they are made, and what becomes of their complaints."""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from framebus.errors import SettingsError, TransportError
from framebus.logs import get_logger
from framebus.settings import KafkaSettings

_OWN_OPTIONS = {
    "bootstrap.servers": "set FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS instead",
    "group.id": "set FRAMEBUS_KAFKA__GROUP_ID instead",
    "enable.auto.commit": "offsets are committed when their detections are acknowledged",
    "enable.auto.offset.store": "offsets are committed when their detections are acknowledged",
}
# With these no waiting helps: somebody has to change the installation.
HOPELESS = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_SESSION_TIMEOUT,
    }
)

_STATISTICS_INTERVAL_MS = 5_000
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
    """What librdkafka says on its error callback: logged, and raised at the next call if it is hopeless."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._hopeless: TransportError | None = None
        self.last = ""
        """What was said last, in words."""

    def __call__(self, error: KafkaError) -> None:  # noqa: D102
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # says nothing of why
            self.last = error.str()
        # That a topic is missing comes with its name on the way of the records, too.
        if error.fatal() or error.code() in HOPELESS - {KafkaError.UNKNOWN_TOPIC_OR_PART}:
            self._hopeless = TransportError(f"broker {self._bootstrap_servers}: {error.str()}")
        else:
            # librdkafka says the same on its log, and there it holds back what repeats itself.
            log.debug("broker trouble", broker=self._bootstrap_servers, error=error.str())

    def no_answer(self, error: KafkaException) -> TransportError:
        """What to raise for a request that no broker answered."""
        return TransportError(
            f"no broker answered at {self._bootstrap_servers}: {self.last or error.args[0].str()}; start one "
            "with `framebus broker`, set FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS, or mend the security options"
        )

    def raise_if_hopeless(self) -> None:
        """Raises what only a person can mend.

        Raises:
            TransportError: What librdkafka said.
        """
        if self._hopeless is not None:
            raise self._hopeless


class Connection:
    """Whether a broker can be reached, as librdkafka's statistics tell it every few seconds."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self.is_up = True

    @property
    def options(self) -> dict[str, Any]:
        """What a client needs to be told to be followed."""
        return {"statistics.interval.ms": _STATISTICS_INTERVAL_MS, "stats_cb": self._on_statistics}

    def _on_statistics(self, statistics: str) -> None:
        brokers = json.loads(statistics)["brokers"].values()
        is_up = any(broker["state"] == "UP" for broker in brokers)
        if is_up != self.is_up:
            self.is_up = is_up
            say = log.info if is_up else log.warning
            say(
                "a broker is there again" if is_up else "no broker can be reached", at=self._bootstrap_servers
            )


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

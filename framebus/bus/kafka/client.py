"""What all three kinds of client share: how they are made, and what becomes of their complaints."""

import logging
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

log = get_logger("bus")

Client = TypeVar("Client")


class _ToLog(logging.Handler):
    """Turns librdkafka's own lines into lines of our log."""

    def emit(self, record: logging.LogRecord) -> None:
        log.log(record.levelno, "librdkafka", message=record.getMessage())


_librdkafka = logging.Logger("librdkafka")
_librdkafka.addHandler(_ToLog())


class Troubles:
    """What librdkafka says on its error callback: logged, and raised at the next call if it is hopeless."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._hopeless: TransportError | None = None

    def __call__(self, error: KafkaError) -> None:  # noqa: D102
        if error.fatal() or error.code() in HOPELESS:
            self._hopeless = TransportError(f"broker {self._bootstrap_servers}: {error.str()}")
        else:
            # librdkafka says the same on its log, and there it holds back what repeats itself.
            log.debug("broker trouble", broker=self._bootstrap_servers, error=error.str())

    def raise_if_hopeless(self) -> None:
        """Raises what only a person can mend.

        Raises:
            TransportError: What librdkafka said.
        """
        if self._hopeless is not None:
            raise self._hopeless


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

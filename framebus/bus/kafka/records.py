"""What librdkafka delivers, as records."""

from typing import cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, Message

from framebus.bus import Headers, Partition, Record
from framebus.bus.kafka.client import Troubles, log
from framebus.bus.kafka.refusals import HOPELESS
from framebus.errors import TopicMissingError


def checked_record(message: Message, troubles: Troubles) -> Record | None:
    """Takes what librdkafka delivered: a record, or word of some passing trouble, which is logged.

    Raises:
        TopicMissingError: There is no such topic any more.
        BusRefusedError: Word of other trouble that no waiting helps against.
    """
    error = message.error()
    if error is None:
        return _record(message)
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise TopicMissingError(str(message.topic()))
    if error.fatal() or error.code() in HOPELESS:
        raise troubles.refusal(error, message.topic())
    if error.code() != KafkaError._PARTITION_EOF:
        log.warning("broker trouble", topic=message.topic(), error=error.str())
    return None


def _record(message: Message) -> Record:
    kind, timestamp_ms = message.timestamp()
    return Record(
        partition=Partition(str(message.topic()), int(message.partition() or 0)),
        offset=int(message.offset() or 0),
        timestamp_ms=0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        key=message.key(),
        value=message.value() or b"",
        headers=_headers(message),
    )


def _headers(message: Message) -> Headers:
    try:
        return tuple(cast("list[tuple[str, bytes | None]]", message.headers() or []))
    except SystemError:  # how confluent-kafka tells of a header whose name is not UTF-8
        log.warning(
            "headers cannot be read, going on without them",
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
        )
        return ()

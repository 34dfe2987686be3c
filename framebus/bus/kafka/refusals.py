"""What brokers refuse for good, and what somebody has to mend then (docs/security.md)."""

import re
from collections.abc import Mapping

from confluent_kafka import KafkaError

from framebus.errors import BusRefusedError

_SIGN_IN = "check sasl.username and sasl.password"
_REMEDIES: Mapping[int, str] = {
    KafkaError._AUTHENTICATION: _SIGN_IN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _SIGN_IN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "check sasl.mechanism",
    KafkaError._SSL: "check ssl.ca.location, and which host name the broker's certificate is for",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user needs Read on it to subscribe, Write to publish",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "this user needs Read on it to join, Describe to look on",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "this user needs Write on it",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "this user needs Write on the topics that it publishes to",
}
# What TLS says to one whose certificate is missing or of no worth; to librdkafka it is any trouble of the
# network, and it would try again for ever.
_UNWELCOME = re.compile(r"alert (bad certificate|certificate (required|expired|revoked|unknown)|unknown ca)")
_MECHANISM = "Unsupported SASL mechanism"
_CERTIFICATE = "it asks for a certificate; check ssl.certificate.location and ssl.key.location"

HOPELESS = frozenset(
    {
        *_REMEDIES,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_SESSION_TIMEOUT,
    }
)
"""Codes of errors against which no waiting helps: somebody has to change the installation."""


def is_refusal(error: KafkaError) -> bool:
    """Whether the broker does not want this user, or not this user's doing."""
    return error.code() in _REMEDIES or _UNWELCOME.search(error.str()) is not None


def refusal(what: str, error: KafkaError) -> BusRefusedError:
    """The error to raise; names what was refused, why, and what to mend."""
    said = error.str()
    remedy = _REMEDIES.get(error.code())
    if _UNWELCOME.search(said):
        remedy = _CERTIFICATE
    elif _MECHANISM in said:  # librdkafka has no code of its own for it
        remedy = _REMEDIES[KafkaError.UNSUPPORTED_SASL_MECHANISM]
    return BusRefusedError("; ".join(part for part in (f"{what}: {said}", remedy) if part))

"""TCP ports of this machine's loopback: which are free, and whether a broker answers on one."""

import contextlib
import random
import socket
import struct

from framebus.errors import SettingsError, TransportError

LOOPBACK = "127.0.0.1"

# Below the range from which the system picks ports for outgoing connections (32768 and up): a client that
# keeps dialling a stopped broker could be given that very port, connect to itself, and keep the broker out.
_CANDIDATES = range(20_000, 32_768)

# ApiVersions, version 0: length, API key, API version, correlation id, no client id.
# https://kafka.apache.org/protocol#The_Messages_ApiVersions
_API_VERSIONS_REQUEST = struct.pack(">ihhih", 10, 18, 0, 1, -1)
_CORRELATION_ID_AND_NO_ERROR = struct.pack(">ih", 1, 0)


def free_ports(count: int) -> list[int]:
    """Picks `count` different ports that nobody listens on.

    Raises:
        TransportError: There are not as many.
    """
    found: list[int] = []
    for port in random.sample(_CANDIDATES, k=len(_CANDIDATES)):
        if len(found) == count:
            break
        with contextlib.suppress(OSError):
            _bind(port)
            found.append(port)
    if len(found) < count:
        raise TransportError(f"no free ports on {LOOPBACK} between {_CANDIDATES[0]} and {_CANDIDATES[-1]}")
    return found


def require_free(port: int) -> None:
    """Makes sure that a broker can listen on `port`.

    Raises:
        SettingsError: Another program listens there, or the system forbids it.
    """
    try:
        _bind(port)
    except OSError as error:
        raise SettingsError(
            f"port {port} on {LOOPBACK} cannot be used: {error.strerror}; "
            "choose another with --port (0: any free one), or end the program that holds it"
        ) from error


def port_or_another(port: int) -> int:
    """Returns `port` if nobody listens on it, else another one that is free."""
    try:
        require_free(port)
    except SettingsError:
        port = 0
    return port or free_ports(1)[0]


def answers(port: int) -> bool:
    """Asks whether a Kafka broker is ready on `port`: it accepts and answers an ApiVersions request."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(_API_VERSIONS_REQUEST)
            with connection.makefile("rb") as reply:
                return reply.read(10)[4:] == _CORRELATION_ID_AND_NO_ERROR
    except OSError:
        return False


def _bind(port: int) -> None:
    with socket.socket() as listener:
        # What brokers do too: connections of a predecessor that are still winding down are no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))

"""Where the control API reaches a worker."""

import socket

from framebus.settings import Settings

_WILDCARDS = ("", "0.0.0.0", "::")


def own_address(settings: Settings, port: int) -> str:
    """The address of a worker's HTTP port.

    Args:
        settings: Say where it listens, or what to tell instead.
        port: The port it listens on.
    """
    if settings.consumer.http_address is not None:
        return settings.consumer.http_address
    host = settings.consumer.http_host
    if host in _WILDCARDS:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET  # the one it listens in
        host = _towards(settings.kafka.bootstrap_servers.split(",")[0], family)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _towards(server: str, family: socket.AddressFamily) -> str:
    """This host's address on its way to a broker; nothing is sent."""
    name, _, port = server.rpartition(":")
    try:
        *_, target = socket.getaddrinfo(name.strip("[]"), port, family, socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()

"""The address of a camera on the network, with its credentials kept out of everything that is shown."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

STREAM_SCHEMES = frozenset({"rtsp", "rtsps"})
HTTP_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class CameraUrl:
    """A camera's URL in its parts.

    Attributes:
        text: The whole URL, credentials and all.
        bare: The URL without user and password; its query may still hold a secret.
        name: What logs and errors may show: without user, password and query.
        user: Percent-decoded; None: no credentials.
        password: Percent-decoded.
    """

    text: str = field(repr=False)
    bare: str = field(repr=False)
    name: str
    user: str | None = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes a URL apart.

        Raises:
            ValueError: It has no host, or its port is no number; says so without quoting it.
        """
        url = urlsplit(text)
        try:
            has_host = bool(url.hostname) and url.port != 0
        except ValueError:  # quotes the port, which is a password where an "@" was forgotten
            has_host = False
        if not has_host:
            raise ValueError(f"no host and port; write it as {url.scheme}://user:password@host:port/path")
        host = url.netloc.rpartition("@")[2]
        return cls(
            text=text,
            bare=url._replace(netloc=host).geturl(),
            name=url._replace(netloc=host, query="", fragment="").geturl(),
            user=None if url.username is None else unquote(url.username),
            password=unquote(url.password or ""),
        )


def scheme_of(source: str) -> str | None:
    """The scheme of a source in small letters, or None if the source is no URL."""
    scheme, separator, _ = source.partition("://")
    return scheme.lower() if separator else None

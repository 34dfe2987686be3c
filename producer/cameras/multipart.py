"""Motion JPEG over HTTP: an endless body of pictures (`multipart/x-mixed-replace`, RFC 2046, 5.1)."""

import http.client
from collections.abc import Iterator
from io import BufferedIOBase

# A part that says it is so many times too long is no picture, and to pass over it could take for ever.
_ABSURD = 16
_PIECE_BYTES = 2**16


def parts(stream: BufferedIOBase, boundary: str, max_part_bytes: int) -> Iterator[bytes | None]:
    """Yields the body of each part: the one that its Content-Length tells, else all up to the next boundary.

    Cameras take liberties with boundaries, which are borne with: dashes that the header has and the body does
    not or the other way round, and no line end in front.

    Args:
        stream: The body of the answer.
        boundary: As the content type tells it.
        max_part_bytes: Longer parts are passed over where their Content-Length tells where they end; None
            stands for them.

    Raises:
        EOFError: The body ends without its closing boundary.
        ValueError: This is no multipart body, or a part that is too long cannot be passed over.
    """
    delimiter = b"--" + boundary.lstrip("-").encode()
    _, last = _up_to(delimiter, stream, max_part_bytes)
    while not last:
        length = http.client.parse_headers(stream).get("Content-Length")
        if length is None:
            part, last = _up_to(delimiter, stream, max_part_bytes)
            yield part.removesuffix(b"\n").removesuffix(b"\r")
        else:
            yield _exactly(length, stream, max_part_bytes)
            _, last = _up_to(delimiter, stream, max_part_bytes)


def _up_to(delimiter: bytes, stream: BufferedIOBase, max_bytes: int) -> tuple[bytes, bool]:
    """Reads through the line of the next delimiter; returns what came before, and if it is the last."""
    passed = bytearray()
    while len(passed) <= max_bytes:
        line = stream.readline(max_bytes + len(delimiter))
        if not line:
            raise EOFError("the stream ended")
        before, found, after = line.partition(delimiter)
        passed += before
        if found:
            return bytes(passed.removesuffix(b"--")), after.startswith(b"--")
    raise ValueError(f"no boundary within {max_bytes} bytes")


def _exactly(length: str, stream: BufferedIOBase, max_bytes: int) -> bytes | None:
    if not length.strip().isdecimal():
        raise ValueError("a part whose Content-Length is no number")
    left = int(length)
    if left > _ABSURD * max_bytes:
        raise ValueError(f"a part whose Content-Length is more than {_ABSURD * max_bytes}")
    if left <= max_bytes:
        return _whole(left, stream)
    while left:
        left -= len(_whole(min(left, _PIECE_BYTES), stream))
    return None


def _whole(length: int, stream: BufferedIOBase) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the stream ended")
    return data

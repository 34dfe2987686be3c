"""A TCP connection to a broker that its controller does not let in: it answers, and lists no broker."""

import asyncio

from tests.integration.slow_link import Read, SlowLink

_METADATA = 3
# The layout of the answer that is rewritten here: https://kafka.apache.org/protocol#The_Messages_Metadata
_METADATA_VERSION = 13


class FencingLink(SlowLink):
    """Hands on what is said, but for lists of brokers while `is_fenced`: these arrive empty; a context.

    Attributes:
        is_fenced: Whether the list of brokers is empty.
    """

    def __init__(self, port: int, target_port: int) -> None:
        super().__init__(port, target_port)
        self.is_fenced = False

    def _readers(self) -> tuple[Read, Read]:
        # The requests for metadata that were not answered yet, by correlation id.
        asked: set[bytes] = set()

        async def read_request(source: asyncio.StreamReader) -> bytes:
            request = await _read_message(source)
            kind, version = int.from_bytes(request[:2]), int.from_bytes(request[2:4])
            if kind == _METADATA:
                assert version == _METADATA_VERSION, f"librdkafka speaks version {version} of Metadata now"
                asked.add(request[4:8])
            return _framed(request)

        async def read_answer(source: asyncio.StreamReader) -> bytes:
            answer = await _read_message(source)
            if (correlation_id := answer[:4]) in asked:
                asked.remove(correlation_id)
                if self.is_fenced:
                    answer = _without_brokers(answer)
            return _framed(answer)

        return read_request, read_answer


async def _read_message(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.readexactly(int.from_bytes(await source.readexactly(4)))
    except asyncio.IncompleteReadError:
        return b""


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(4) + message if message else b""


def _without_brokers(answer: bytes) -> bytes:
    start = end = 4 + 1 + 4  # correlation id, no tagged fields, throttle time
    count, end = _unsigned(answer, end)
    for _ in range(count - 1):
        end += 4  # node id
        for between in (4, 1):  # host and port, rack and no tagged fields
            length, end = _unsigned(answer, end)
            end += max(length - 1, 0) + between
    return answer[:start] + b"\x01" + answer[end:]


def _unsigned(message: bytes, at: int) -> tuple[int, int]:
    """Reads a number of variable length; returns it, and where the next field begins."""
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at

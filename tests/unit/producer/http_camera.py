"""A camera with an HTTP server, on loopback, that can be told to misbehave."""

import base64
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.pictures import jpeg

REALM = "camera"
NONCE = "0123456789abcdef"

SIZES = [(64, 48), (320, 200), (16, 16)]
PICTURES = [jpeg(*size, seed=number) for number, size in enumerate(SIZES)]


class Handler(BaseHTTPRequestHandler):
    """Answers as the camera was told; an answer ends when its function returns."""

    server: "HttpCameraServer"

    def do_GET(self) -> None:
        self.server.requests.append(self)
        self.server.next_answer()(self)

    def reply(self, content_type: str, body: bytes = b"", **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


Answer = Callable[[Handler], None]


class HttpCameraServer(ThreadingHTTPServer):
    """Gives each request the next of its answers; the last one holds for all further requests.

    Attributes:
        requests: Every request so far.
        released: Ends the answers that hang.
        sent: Pictures that were sent, where the answer counts them.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.requests: list[Handler] = []
        self.released = threading.Event()
        self.sent = 0
        self._answers: list[Answer] = []

    def url(self, path: str = "/camera", credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.server_port}{path}"

    def will(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def next_answer(self) -> Answer:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no news."""


@contextmanager
def http_camera(port: int = 0) -> Iterator[HttpCameraServer]:
    """Such a camera, on a free port or on the one that another had before."""
    with HttpCameraServer(port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def part(data: bytes, *, with_length: bool = True) -> bytes:
    length = f"Content-Length: {len(data)}\r\n" if with_length else ""
    return f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + data + b"\r\n"


def mjpeg(pictures: Iterable[bytes], *, with_length: bool = True, then: Answer | None = None) -> Answer:
    """A stream of pictures; afterwards `then`, or the connection is closed in the middle."""

    def answer(handler: Handler) -> None:
        handler.reply("multipart/x-mixed-replace; boundary=frame")
        for data in pictures:
            handler.wfile.write(part(data, with_length=with_length))
        handler.wfile.write(b"--frame\r\n")
        if then is not None:
            then(handler)

    return answer


def chunked_mjpeg(pictures: Iterable[bytes]) -> Answer:
    """The same in chunks whose ends are not those of the pictures."""

    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.reply("multipart/x-mixed-replace; boundary=frame", Transfer_Encoding="chunked")
        body = b"".join(part(data, with_length=False) for data in pictures) + b"--frame--\r\n"
        for start in range(0, len(body), 100):
            chunk = body[start : start + 100]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        handler.wfile.write(b"0\r\n\r\n")

    return answer


def live(handler: Handler) -> None:
    """A stream of these pictures in turn, 50 a second, for ever."""
    handler.reply("multipart/x-mixed-replace; boundary=frame")
    while not handler.server.released.wait(0.02):
        data = PICTURES[handler.server.sent % len(PICTURES)]
        handler.server.sent += 1
        handler.wfile.write(part(data))


def snapshot(data: bytes) -> Answer:
    return lambda handler: handler.reply("image/jpeg", data)


def body(content_type: str, data: bytes, length: int | None = None) -> Answer:
    """An answer that says it has this length; by default its own."""
    told = str(len(data) if length is None else length)
    return lambda handler: handler.reply(content_type, data, Content_Length=told)


def refuse(code: int) -> Answer:
    return lambda handler: handler.send_error(code)


def hang(handler: Handler) -> None:
    handler.server.released.wait()


def reset(handler: Handler) -> None:
    """Says something that is no HTTP, and goes."""
    handler.connection.sendall(b"garbage\r\n")
    handler.connection.shutdown(socket.SHUT_RDWR)


def basic(user: str, password: str, answer: Answer) -> Answer:
    """Asks for Basic credentials (RFC 7617)."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return _challenging(f'Basic realm="{REALM}"', lambda _, given: given == expected, answer)


def digest(user: str, password: str, answer: Answer) -> Answer:
    """Asks for Digest credentials (RFC 7616, with MD5 and qop=auth, as most cameras do)."""

    def agrees(handler: Handler, given: str) -> bool:
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', given))
        secret = _md5(f"{user}:{REALM}:{password}")
        request = _md5(f"GET:{handler.path}")
        return given.startswith("Digest ") and fields["response"] == _md5(
            f"{secret}:{NONCE}:{fields['nc']}:{fields['cnonce']}:auth:{request}"
        )

    return _challenging(f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth"', agrees, answer)


def _challenging(challenge: str, agrees: Callable[[Handler, str], bool], answer: Answer) -> Answer:
    def challenged(handler: Handler) -> None:
        given = handler.headers["Authorization"]
        if given is not None and agrees(handler, given):
            answer(handler)
            return
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", challenge)
        handler.end_headers()

    return challenged


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@contextmanager
def mute_server() -> Iterator[int]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield int(listener.getsockname()[1])

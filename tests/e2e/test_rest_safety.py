"""What hostile clients send to a real server: the right 4xx each time, and its memory stays flat."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest
from PIL import Image as PillowImage

from tests.e2e.raw_server import Answer, RawServer
from tests.e2e.rest_processes import at_once, data_of, predict, served, whole_picture
from tests.pictures import jpeg

MODEL = "quick"
READ_TOKEN, ADMIN_TOKEN = "may-look-and-predict", "may-do-everything"
MOST_GROWTH_BYTES = 50 * 2**20

_MAX_IMAGE_BYTES = 10 * 2**20  # FRAMEBUS_API__MAX_IMAGE_BYTES
_TWO_GIB = 2**31
_TAKEN_BY_NOBODY_BYTES = 256 * 2**20
_PICTURE = jpeg(64, 48)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawServer]:
    with served(
        tmp_path_factory.mktemp("serve"),
        MODEL,
        FRAMEBUS_API__LEGACY_STATUS="false",
        FRAMEBUS_API__READ_TOKEN=READ_TOKEN,
        FRAMEBUS_API__ADMIN_TOKEN=ADMIN_TOKEN,
    ) as process:
        with process.client(ADMIN_TOKEN) as client:
            data_of(client.get(f"/models/{MODEL}/load"))
        yield RawServer(process)


@pytest.mark.parametrize(
    "path",
    [
        "/models/..%2f..%2fetc/labels",
        "/models/..%2F..%2F..%2F..%2F..%2Fetc%2Fpasswd/labels",
        "/models/../../../../etc/labels",
        "/models/%2e%2e/labels",
        "/models/..%5c..%5cetc/labels",
        "/models/%2fetc/config",
        f"/models/{MODEL}%2f..%2f{MODEL}/labels",
        f"/models/{MODEL}%00/labels",
        "/models/%00/config",
        "/models/.../labels",
        "/models/" + "a" * 5_000 + "/labels",
        "/models/%c0%ae%c0%ae%c0%afetc/labels",
        "/docs/..%2f..%2fapp.py",
    ],
)
def test_no_path_leads_out_of_the_models_directory(server: RawServer, path: str) -> None:
    answer = server.send(f"GET {path}", [f"Authorization: Bearer {READ_TOKEN}"])

    assert answer.status == 404, answer
    assert b'"success":false' in answer.body
    assert b"root:" not in answer.body


def test_hostile_requests_are_refused_and_leave_the_memory_flat(server: RawServer) -> None:
    # What a good request needs is there before.
    with server.process.client(READ_TOKEN) as client:
        at_once([partial(predict, client, MODEL, _PICTURE)] * 8)
        assert predict(client, MODEL, padded(_PICTURE, _MAX_IMAGE_BYTES)).status_code == 200
    before_bytes = server.begin_to_watch_memory()

    for _ in range(3):
        answers = {name: attack(server) for name, (attack, _) in ATTACKS.items()}
        several = at_once([partial(chunked_for_ever, server, READ_TOKEN)] * 8)

        assert {name: answer.status for name, answer in answers.items()} == {
            name: status for name, (_, status) in ATTACKS.items()
        }
        assert [answer.status for answer in several] == [413] * 8
        for answer in (*answers.values(), *several):
            assert b'"success":false' in answer.body, answer
            assert b"Traceback" not in answer.body

    assert server.most_memory_bytes() - before_bytes < MOST_GROWTH_BYTES
    with server.process.client(READ_TOKEN) as client:
        assert data_of(predict(client, MODEL, _PICTURE)) == whole_picture(64, 48)
    assert not [line for line in server.process.log() if "exception" in line]


def test_a_client_that_hangs_up_is_no_error_of_the_server(server: RawServer) -> None:
    requests = len(server.process.log("request"))
    headers = form_headers(READ_TOKEN, "Content-Length: 10000")

    server.hang_up(f"POST /models/{MODEL}/predict", headers, next(file_without_end(is_chunked=False)))

    server.process.until_logged("request", count=requests + 1)
    assert server.process.metric("framebus_api_requests_total", status="500") == 0
    assert not [line for line in server.process.log() if "exception" in line]


def png(width: int, height: int) -> bytes:
    """A picture of one colour, small as a file."""
    written = io.BytesIO()
    PillowImage.new("L", (width, height)).save(written, "PNG")
    return written.getvalue()


def huge_png() -> bytes:
    """A sound header that promises 100,000 x 100,000 pixels, and hardly any."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def padded(picture: bytes, size_bytes: int) -> bytes:
    """A picture with what no decoder looks at behind it."""
    return picture + bytes(size_bytes - len(picture))


def form_headers(token: str, *more: str) -> list[str]:
    """Those of a form that comes in one piece."""
    return [f"Authorization: Bearer {token}", "Content-Type: multipart/form-data; boundary=xxx", *more]


def file_without_end(*, is_chunked: bool) -> Iterator[bytes]:
    """A form whose file does not end."""
    begin = b'--xxx\r\nContent-Disposition: form-data; name="input_data"; filename="a.jpg"\r\n\r\n' + _PICTURE
    for part in (begin, *[bytes(65_536)] * (_TAKEN_BY_NOBODY_BYTES // 65_536)):
        yield b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part


def chunked_for_ever(server: RawServer, token: str, request: str = f"POST /models/{MODEL}/predict") -> Answer:
    """Sends a file that does not end, and does not say so."""
    headers = form_headers(token, "Transfer-Encoding: chunked")
    return server.send(request, headers, file_without_end(is_chunked=True))


def declared_too_large(
    server: RawServer, request: str, *, kind: str = "multipart/form-data; boundary=xxx"
) -> Answer:
    """Says that 2 GiB will come, and waits."""
    headers = [f"Authorization: Bearer {ADMIN_TOKEN}", f"Content-Type: {kind}", f"Content-Length: {_TWO_GIB}"]
    return server.send(request, headers, [b"--xxx\r\n"])


def sent_too_large(server: RawServer) -> Answer:
    """Says that 2 GiB will come, and sends."""
    headers = form_headers(READ_TOKEN, f"Content-Length: {_TWO_GIB}")
    return server.send(f"POST /models/{MODEL}/predict", headers, file_without_end(is_chunked=False))


def upload(
    server: RawServer, data: bytes, *, path: str = f"/models/{MODEL}/predict", token: str = READ_TOKEN
) -> Answer:
    """Sends a file in a proper form."""
    with server.process.client(token) as client:
        answer = client.post(path, files={"input_data": ("picture.jpg", data, "image/jpeg")})
        return Answer(answer.status_code, answer.content)


def wants(method: str, path: str, *, token: str | None) -> Callable[[RawServer], Answer]:
    """A request without a body."""
    headers = ["Content-Length: 0", *([] if token is None else [f"Authorization: Bearer {token}"])]
    return lambda server: server.send(f"{method} {path}", headers)


def sends(data: bytes, *, token: str = READ_TOKEN) -> Callable[[RawServer], Answer]:
    """A file to predict."""
    return partial(upload, data=data, token=token)


def form(**fields: str) -> Callable[[RawServer], Answer]:
    """A form of text alone."""

    def attack(server: RawServer) -> Answer:
        with server.process.client(READ_TOKEN) as client:
            answer: httpx.Response = client.post(f"/models/{MODEL}/predict", data=fields)
            return Answer(answer.status_code, answer.content)

    return attack


_LABELS, _CONFIG = f"/models/{MODEL}/labels", f"/models/{MODEL}/config"

ATTACKS: dict[str, tuple[Callable[[RawServer], Answer], int]] = {
    "2 GiB declared, predict": (partial(declared_too_large, request=f"POST /models/{MODEL}/predict"), 413),
    "2 GiB declared, batch": (
        partial(declared_too_large, request=f"POST /models/{MODEL}/predict_batch"),
        413,
    ),
    "2 GiB declared, detect": (partial(declared_too_large, request="POST /detect"), 413),
    "2 GiB declared, labels": (partial(declared_too_large, request="POST /get_labels"), 413),
    "2 GiB declared, config": (
        partial(declared_too_large, request=f"PATCH {_CONFIG}", kind="application/json"),
        413,
    ),
    "2 GiB declared, login": (
        partial(declared_too_large, request="POST /login", kind="application/json"),
        413,
    ),
    "JSON that is no text": (
        lambda server: server.send(
            f"PATCH {_CONFIG}",
            [f"Authorization: Bearer {ADMIN_TOKEN}", "Content-Type: application/json", "Content-Length: 4"],
            [b'"\xff"\n'],
        ),
        422,
    ),
    "2 GiB sent": (sent_too_large, 413),
    "chunks without end, predict": (partial(chunked_for_ever, token=READ_TOKEN), 413),
    "chunks without end, labels": (
        partial(chunked_for_ever, token=READ_TOKEN, request="POST /get_labels"),
        413,
    ),
    "chunks without end, wrong token": (partial(chunked_for_ever, token="x" * 20), 401),
    "100,000 x 100,000 pixels": (sends(huge_png()), 413),
    "more pixels than allowed": (sends(png(8_000, 8_000)), 413),
    "more bytes than allowed": (sends(padded(_PICTURE, _MAX_IMAGE_BYTES + 1)), 413),
    "no token": (wants("GET", _LABELS, token=None), 401),
    "wrong token": (wants("GET", _LABELS, token="x" * 20), 401),
    "part of a token": (wants("GET", _LABELS, token=READ_TOKEN[:-1]), 401),
    "an empty token": (wants("GET", _LABELS, token=""), 401),
    "no ASCII in the token": (wants("GET", _LABELS, token="\xff\xfe" * 10), 401),
    "wrong token, picture": (sends(_PICTURE, token="x" * 20), 401),
    "read token, load": (wants("GET", f"/models/{MODEL}/load", token=READ_TOKEN), 403),
    "read token, unload": (wants("POST", f"/models/{MODEL}/unload", token=READ_TOKEN), 403),
    "read token, load all": (wants("POST", "/load", token=READ_TOKEN), 403),
    "read token, model that is not loaded": (
        partial(upload, data=_PICTURE, path="/models/slow/predict"),
        409,
    ),
    "empty file": (sends(b""), 400),
    "text as image": (sends(b"just text, no image\n" * 100), 400),
    "html as image": (sends(b"<html><script>alert(1)</script></html>"), 400),
    "cut-off image": (sends(_PICTURE[: len(_PICTURE) // 2]), 400),
    "header alone": (sends(_PICTURE[:3]), 400),
    "text in place of a file": (form(input_data="text"), 422),
    "no file": (form(), 422),
    "a thousand fields": (form(**{f"field{number}": "x" for number in range(1_000)}), 422),
    "wrong method": (wants("DELETE", _LABELS, token=ADMIN_TOKEN), 405),
    "no such path": (wants("GET", "/nowhere", token=ADMIN_TOKEN), 404),
}

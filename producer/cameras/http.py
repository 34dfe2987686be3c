"""A camera that is asked over HTTP: motion JPEG, single pictures, or video."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead, responses
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    OpenerDirector,
    Request,
    build_opener,
)

from framebus.errors import CameraError, FrameTooLargeError
from producer.camera_url import CameraUrl
from producer.cameras.camera import Picture
from producer.cameras.ffmpeg import VideoStream
from producer.cameras.multipart import parts

_SNAPSHOT_FPS = 1.0


class HttpCamera:
    """Gives the pictures behind a URL; the content type of the answer decides how.

    The parts of a multipart answer (motion JPEG) come byte for byte. A single picture is asked for again and
    again. Everything else is for FFmpeg.

    Args:
        url: Where it is. Its user and password answer a challenge, Basic or Digest.
        fps: How often to ask for a single picture, per second; None: once a second.
        timeout_s: Longest time to connect, and longest silence.
        max_picture_bytes: Longer pictures are passed over.
    """

    live = True

    def __init__(
        self, url: CameraUrl, *, fps: float | None = None, timeout_s: float, max_picture_bytes: int
    ) -> None:
        self._url = url
        self._lasts_s = 1 / (fps or _SNAPSHOT_FPS)
        self._timeout_s = timeout_s
        self._max_picture_bytes = max_picture_bytes
        self._opener = _opener(url)
        self._video = VideoStream(url, timeout_s=timeout_s)

    def pictures(self) -> Generator[Picture, None, None]:
        """Yields each picture of a stream when it comes, and single pictures when they are asked for."""
        with self._failures_named():
            while True:
                with self._answer() as answer:
                    kind = answer.headers.get_content_maintype()
                    if kind == "multipart":
                        yield from self._stream(answer)
                    if answer.headers.get_content_type() == "text/html":
                        raise ValueError("answered with a web page instead of pictures; check the path")
                    if kind != "image":
                        break
                    snapshot = self._snapshot(answer)
                yield snapshot
        if kind != "multipart":
            yield from self._video.pictures()

    def _answer(self) -> HTTPResponse:
        answer: HTTPResponse = self._opener.open(self._url.bare, timeout=self._timeout_s)
        return answer

    def _stream(self, answer: HTTPResponse) -> Iterator[Picture]:
        boundary = answer.headers.get_boundary()
        if not boundary:
            raise ValueError("a multipart answer that does not tell its boundary")
        for data in parts(answer, boundary, self._max_picture_bytes):
            yield Picture(self._too_large() if data is None else data, 0)

    def _snapshot(self, answer: HTTPResponse) -> Picture:
        data = answer.read(self._max_picture_bytes + 1)
        if len(data) > self._max_picture_bytes:
            return Picture(self._too_large(), self._lasts_s)
        if answer.length:  # of what was announced, so much is left
            raise EOFError("the picture is cut off")
        return Picture(data, self._lasts_s)

    def _too_large(self) -> FrameTooLargeError:
        return FrameTooLargeError(
            f"a picture of more than {self._max_picture_bytes} bytes; "
            "raise FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES"
        )

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, HTTPException, EOFError, ValueError) as error:
            raise CameraError(f"{self._url.name}: {self._in_words(error)}") from error

    def _in_words(self, error: Exception) -> str:
        if isinstance(error, HTTPError):
            error.close()
            remedy = (
                "write user and password into the URL, http://user:password@..."
                if self._url.user is None
                else "check user and password in the URL"
            )
            reason = responses.get(error.code, "")
            return f"answered {error.code} {reason}" + (f"; {remedy}" if error.code == 401 else "")
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, TimeoutError):
            return f"said nothing for {self._timeout_s:g} s"
        if isinstance(cause, OSError) and cause.strerror:
            return f"cannot be reached: {cause.strerror}"
        if isinstance(cause, IncompleteRead):
            return "the stream ended"
        if isinstance(cause, HTTPException) and not isinstance(cause, OSError):  # quotes what was received
            return "answered with something that is not HTTP"
        return str(cause) or type(cause).__name__


class _DigestOnce(HTTPDigestAuthHandler):
    """Offers the password once per request, for cameras lock out those who offer a wrong one too often."""

    def http_error_401(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any | None:
        """Answers a challenge, unless the answer to the last one was refused."""
        fp.close()  # urllib leaves that to the garbage collector
        if req.has_header(self.auth_header):
            raise HTTPError(req.full_url, code, msg, headers, fp)
        return super().http_error_401(req, fp, code, msg, headers)


def _opener(url: CameraUrl) -> OpenerDirector:
    if url.user is None:
        return build_opener()
    passwords = HTTPPasswordMgrWithDefaultRealm()
    scheme, _, rest = url.bare.partition("://")
    passwords.add_password(None, f"{scheme}://{rest.partition('/')[0]}/", url.user, url.password)
    return build_opener(_DigestOnce(passwords), HTTPBasicAuthHandler(passwords))

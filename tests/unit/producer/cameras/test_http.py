from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from framebus.errors import CameraError, FrameTooLargeError
from framebus.local_broker.ports import free_ports
from producer.camera_url import CameraUrl
from producer.cameras.http import HttpCamera
from tests.pictures import jpeg
from tests.unit.producer.conftest import MakeVideo
from tests.unit.producer.http_camera import (
    Answer,
    Handler,
    HttpCameraServer,
    basic,
    body,
    chunked_mjpeg,
    digest,
    hang,
    http_camera,
    mjpeg,
    refuse,
    reset,
    snapshot,
)

PICTURES = [jpeg(64, 48, seed=1), jpeg(320, 200, seed=2), b"not a picture", jpeg(16, 16, seed=3)]
SECRET = "s3/cr@t"
CREDENTIALS = "user:s3%2Fcr%40t@"

Challenge = Callable[[str, str, Answer], Answer]


@pytest.fixture
def server() -> Iterator[HttpCameraServer]:
    with http_camera() as server:
        yield server


def camera(
    url: str, *, fps: float | None = None, timeout_s: float = 5, max_picture_bytes: int = 100_000
) -> HttpCamera:
    return HttpCamera(CameraUrl.parse(url), fps=fps, timeout_s=timeout_s, max_picture_bytes=max_picture_bytes)


def contents(camera: HttpCamera, count: int) -> list[object]:
    return [picture.content for picture in islice(camera.pictures(), count)]


@pytest.mark.parametrize(
    "answer",
    [mjpeg(PICTURES), mjpeg(PICTURES, with_length=False), chunked_mjpeg(PICTURES)],
    ids=["lengths", "boundaries", "chunks"],
)
def test_the_parts_of_a_stream_come_byte_for_byte_whatever_they_are(
    server: HttpCameraServer, answer: Answer
) -> None:
    server.will(answer)

    pictures = list(islice(camera(server.url()).pictures(), 4))

    assert [picture.content for picture in pictures] == PICTURES
    assert {picture.lasts_s for picture in pictures} == {0}


def test_a_picture_comes_before_the_next_one_is_there(server: HttpCameraServer) -> None:
    server.will(mjpeg(PICTURES[:1], then=hang))

    assert contents(camera(server.url()), 1) == PICTURES[:1]


def test_single_pictures_are_asked_for_again_and_again(server: HttpCameraServer) -> None:
    server.will(*(snapshot(data) for data in PICTURES))

    assert contents(camera(server.url("/snapshot.jpg?channel=1")), 4) == PICTURES
    assert {request.path for request in server.requests} == {"/snapshot.jpg?channel=1"}


@pytest.mark.parametrize(("fps", "lasts_s"), [(None, 1), (4, 0.25)])
def test_the_rate_of_single_pictures_is_one_a_second_unless_another_is_wished(
    server: HttpCameraServer, fps: float | None, lasts_s: float
) -> None:
    server.will(snapshot(jpeg()))

    assert next(camera(server.url(), fps=fps).pictures()).lasts_s == lasts_s


def test_everything_else_is_video_that_comes_at_its_own_rate(
    server: HttpCameraServer, make_video: MakeVideo
) -> None:
    server.will(body("video/x-msvideo", make_video(frames=5, fps=20).read_bytes()))
    pictures = camera(server.url()).pictures()

    assert [next(pictures).lasts_s for _ in range(5)] == [1 / 20] * 5
    with pytest.raises(CameraError, match="the stream ended"):
        next(pictures)


def error_of(camera: HttpCamera) -> str:
    with pytest.raises(CameraError) as error:
        for _ in camera.pictures():
            pass
    return str(error.value)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (refuse(404), "answered 404 Not Found"),
        (refuse(503), "answered 503 Service Unavailable"),
        (reset, "answered with something that is not HTTP"),
        (hang, "said nothing for 0.2 s"),
        (mjpeg(PICTURES, then=hang), "said nothing for 0.2 s"),
        (mjpeg(PICTURES), "the stream ended"),
        (body("image/jpeg", PICTURES[0], length=10**5), "the picture is cut off"),
        (mjpeg([bytes(1_600_001)]), "a part whose Content-Length is more than 1600000"),
        (mjpeg([bytes(100_001)], with_length=False), "no boundary within 100000 bytes"),
        (body("multipart/x-mixed-replace", b"--frame"), "does not tell its boundary"),
        (body("multipart/x-mixed-replace; boundary=frame", b"<html>\n"), "the stream ended"),
        (body("text/html", b"<html>please log in</html>"), "answered with a web page instead of pictures"),
        (body("video/mp4", b"<html>please log in</html>"), "gave no video that FFmpeg can read"),
    ],
    ids=[
        "not found",
        "busy",
        "no http",
        "hangs at once",
        "hangs later",
        "closes",
        "picture cut off",
        "part absurdly long",
        "part too long, no length",
        "no boundary told",
        "no boundary there",
        "a page",
        "no video",
    ],
)
def test_what_goes_wrong_is_an_error_that_names_the_camera(
    server: HttpCameraServer, answer: Answer, complaint: str
) -> None:
    server.will(answer)

    message = error_of(camera(server.url("/camera?token=s3cret"), timeout_s=0.2))

    assert message.startswith(f"{server.url('/camera')}: ")
    assert complaint in message


@pytest.mark.parametrize(
    "answers",
    [
        [mjpeg([PICTURES[0], bytes(100_001), PICTURES[1]])],
        [snapshot(PICTURES[0]), snapshot(bytes(100_001)), snapshot(PICTURES[1])],
    ],
    ids=["stream", "single"],
)
def test_a_picture_that_is_too_large_is_told_and_those_behind_it_come(
    server: HttpCameraServer, answers: list[Answer]
) -> None:
    server.will(*answers)

    first, large, second = contents(camera(server.url()), 3)

    assert (first, second) == (PICTURES[0], PICTURES[1])
    assert isinstance(large, FrameTooLargeError)
    assert str(large) == "a picture of more than 100000 bytes; raise FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES"


def test_a_camera_that_refuses_connections_is_an_error_that_says_so() -> None:
    (port,) = free_ports(1)

    assert error_of(camera(f"http://{CREDENTIALS}127.0.0.1:{port}/")) == (
        f"http://127.0.0.1:{port}/: cannot be reached: Connection refused"
    )


@pytest.mark.parametrize("challenge", [basic, digest])
@pytest.mark.parametrize("answer", [mjpeg(PICTURES[:2]), snapshot(PICTURES[0])], ids=["stream", "single"])
def test_user_and_password_of_the_url_answer_a_challenge(
    server: HttpCameraServer, challenge: Challenge, answer: Answer
) -> None:
    server.will(challenge("user", SECRET, answer))

    assert contents(camera(server.url(credentials=CREDENTIALS)), 2)[0] == PICTURES[0]


@pytest.mark.parametrize("challenge", [basic, digest])
@pytest.mark.parametrize(
    ("credentials", "remedy"),
    [("", "write user and password into the URL"), ("user:wr0ng@", "check user and password in the URL")],
    ids=["none", "wrong"],
)
def test_wrong_credentials_are_an_error_that_says_where_to_write_them(
    server: HttpCameraServer, challenge: Challenge, credentials: str, remedy: str
) -> None:
    server.will(challenge("user", SECRET, snapshot(jpeg())))

    message = error_of(camera(server.url(credentials=credentials)))

    assert f"answered 401 Unauthorized; {remedy}" in message
    assert "wr0ng" not in message
    assert len(server.requests) <= 2


def test_credentials_are_not_told_to_whom_the_camera_sends_us(server: HttpCameraServer) -> None:
    with http_camera() as other:
        other.will(basic("user", SECRET, snapshot(jpeg())))

        def redirect(handler: Handler) -> None:
            handler.send_response(302)
            handler.send_header("Location", other.url())
            handler.end_headers()

        server.will(redirect)

        assert "answered 401" in error_of(camera(server.url(credentials=CREDENTIALS)))
        assert [request.headers["Authorization"] for request in other.requests] == [None]


def test_a_camera_that_is_left_is_disconnected(server: HttpCameraServer) -> None:
    gone = []

    def endless(handler: Handler) -> None:
        try:
            while True:
                handler.wfile.write(PICTURES[0])
        except OSError:
            gone.append(handler)
            server.released.set()

    server.will(mjpeg(PICTURES[:1], then=endless))
    pictures = camera(server.url()).pictures()
    next(pictures)

    pictures.close()

    assert server.released.wait(5)
    assert len(gone) == 1

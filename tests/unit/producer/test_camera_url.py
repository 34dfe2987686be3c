import pytest

from producer.camera_url import CameraUrl, scheme_of

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("text", "bare", "name"),
    [
        (
            "rtsp://user:s3cret@10.0.0.7:8554/stream1",
            "rtsp://10.0.0.7:8554/stream1",
            "rtsp://10.0.0.7:8554/stream1",
        ),
        (
            "http://gate.example/cgi/mjpg?user=a&pwd=s3cret#s3cret",
            "http://gate.example/cgi/mjpg?user=a&pwd=s3cret#s3cret",
            "http://gate.example/cgi/mjpg",
        ),
        ("https://s3cret@[::1]:8443/", "https://[::1]:8443/", "https://[::1]:8443/"),
        ("http://user:s3@cret@gate/x", "http://gate/x", "http://gate/x"),
    ],
)
def test_what_may_be_shown_holds_no_secret(text: str, bare: str, name: str) -> None:
    url = CameraUrl.parse(text)

    assert (url.text, url.bare, url.name) == (text, bare, name)
    assert SECRET not in repr(url)


@pytest.mark.parametrize(
    ("text", "user", "password"),
    [
        ("http://gate/x", None, ""),
        ("http://user@gate/x", "user", ""),
        ("http://user:s3cret@gate/x", "user", "s3cret"),
        ("http://us%40er:%2F%3A%C3%A4@gate/x", "us@er", "/:ä"),
    ],
)
def test_credentials_are_percent_decoded(text: str, user: str | None, password: str) -> None:
    url = CameraUrl.parse(text)

    assert (url.user, url.password) == (user, password)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://",
        "rtsp:///stream1",
        "rtsp://user:s3cret@",
        "rtsp://user:s3cret/10.0.0.7",
        "http://gate:99999/",
    ],
)
def test_a_url_without_host_or_with_a_wrong_port_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="no host and port; write it as") as error:
        CameraUrl.parse(text)

    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("source", "scheme"),
    [("rtsp://gate/x", "rtsp"), ("HTTP://gate", "http"), ("videos/gate.mp4", None), ("webcam:0", None)],
)
def test_a_source_with_a_scheme_is_a_url(source: str, scheme: str | None) -> None:
    assert scheme_of(source) == scheme

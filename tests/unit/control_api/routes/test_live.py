import time
from collections.abc import Callable

import httpx
import pytest

from control_api import live
from control_api.routes import live as live_route
from framebus.bus import OutgoingRecord, Record
from framebus.bus.memory import MemoryReader
from framebus.errors import TransportError
from framebus.frames import FramePosition
from tests.pictures import jpeg
from tests.unit.control_api.clients import error
from tests.unit.control_api.conftest import Api, Installation, StartApi
from tests.unit.control_api.streams import MODEL, Stream, unpack
from tests.workers import wait_until

NewStream = Callable[[str], Stream]


@pytest.fixture
def stream(installation: Installation) -> NewStream:
    return lambda camera: Stream(installation.bus, camera)


def ask(api: Api, cameras: dict[str, str | None], wait_s: float = 0, model: str = MODEL) -> httpx.Response:
    return api.http.post("/live", json={"model": model, "cameras": cameras, "wait_s": wait_s})


def watch(api: Api, *cameras: str) -> None:
    """Has these cameras watched, and waits until the bus is read for them."""
    ask(api, dict.fromkeys(cameras))
    watched = api.plane.live.watch(MODEL, dict.fromkeys(cameras))
    wait_until(lambda: watched.is_reading)


def test_a_viewer_gets_the_newest_frame_with_its_own_detections(api: Api, stream: NewStream) -> None:
    gate = stream("gate")
    watch(api, "gate")
    picture = jpeg(seed=7)
    place = gate.next(picture)

    detections, pictures = unpack(ask(api, {"gate": None}, 5))

    assert detections["gate"]["place"] == place
    assert detections["gate"]["picture"] is True
    assert detections["gate"]["message"]["sensorId"] == "gate"
    assert detections["gate"]["message"]["objects"][0]["type"] == "person"
    assert pictures == {place: ("image/jpeg", picture)}


def test_a_viewer_that_has_the_newest_frame_gets_none(api: Api, stream: NewStream) -> None:
    gate = stream("gate")
    watch(api, "gate")
    place = gate.next()
    unpack(ask(api, {"gate": None}, 5))

    assert unpack(ask(api, {"gate": place})) == ({}, {})

    newer = gate.next()
    detections, _ = unpack(ask(api, {"gate": place}, 5))
    assert detections["gate"]["place"] == newer
    # As one that comes from another replica, and is ahead.
    assert unpack(ask(api, {"gate": f"{newer}0"})) == ({}, {})


def test_an_answer_waits_for_the_next_frame(api: Api, stream: NewStream) -> None:
    gate = stream("gate")
    watch(api, "gate")

    assert unpack(ask(api, {"gate": None}, 0.1)) == ({}, {})

    frame = gate.frame()
    assert unpack(ask(api, {"gate": None}, 0.1)) == ({}, {}), "it is not answered yet"
    place = gate.answer(*frame)
    assert place in unpack(ask(api, {"gate": None}, 5))[1]


def test_only_what_is_watched_is_sent(api: Api, stream: NewStream) -> None:
    gate, yard = stream("gate"), stream("yard")
    watch(api, "gate")
    yard.next()
    place = gate.next()

    _, pictures = unpack(ask(api, {"gate": None, "yard": None}, 5))

    assert set(pictures) == {place}


def test_each_viewer_has_a_pace_of_its_own(api: Api, stream: NewStream) -> None:
    gate = stream("gate")
    watch(api, "gate")
    first = gate.next()
    fast, _ = unpack(ask(api, {"gate": None}, 5))
    second = gate.next()
    fast_again, _ = unpack(ask(api, {"gate": first}, 5))
    slow, _ = unpack(ask(api, {"gate": None}, 5))

    assert fast["gate"]["place"] == first
    assert fast_again["gate"]["place"] == slow["gate"]["place"] == second


def test_boxes_are_shown_without_a_picture_that_is_not_kept_any_more(api: Api, stream: NewStream) -> None:
    gate = stream("gate")
    watch(api, "gate")
    frame, _ = gate.frame()
    place = gate.answer(frame, FramePosition("frames", 0, 999))

    assert without_picture(api, "gate") == place


@pytest.mark.parametrize("value", [b"no picture", jpeg(2_000, 1_000), b""], ids=["text", "large", "nothing"])
def test_what_is_no_picture_or_too_large_is_not_sent(api: Api, stream: NewStream, value: bytes) -> None:
    gate = stream("gate")
    watch(api, "gate")
    place = gate.next(value)

    assert without_picture(api, "gate") == place


def test_a_message_opens_no_topic_but_those_of_frames(api: Api, installation: Installation) -> None:
    gate, secret = (Stream(installation.bus, "gate", topic) for topic in ("frames", "framebus.secret"))
    watch(api, "gate")
    place = secret.next()

    assert place.startswith("framebus.secret/")
    assert without_picture(api, "gate") == place
    assert gate.next() in unpack(ask(api, {"gate": place}, 5))[1]


@pytest.mark.parametrize(
    "value",
    [
        *(b"not JSON", b"[]", b"{}", b'{"source": {"topic": 1}}', None),
        b'{"source": {"topic": 1, "partition": 0, "offset": 0}}',
        b'{"source": {"topic": "", "partition": 0, "offset": 0}}',
        b'{"source": {"topic": "frames", "partition": 4294967296, "offset": 0}}',
        b'{"source": {"topic": "frames", "partition": 0, "offset": -1}}',
        b'{"source": {"topic": "frames", "partition": 0, "offset": 9223372036854775808}}',
        b'{"source": {"topic": "frames", "partition": 0, "offset": "7"}}',
    ],
)
def test_what_is_no_detection_message_is_passed_over(
    api: Api, stream: NewStream, value: bytes | None
) -> None:
    gate = stream("gate")
    watch(api, "gate")
    gate.say(OutgoingRecord(f"detections.{MODEL}", b"gate", value))

    assert unpack(ask(api, {"gate": None}, 0.2)) == ({}, {})
    assert gate.next() in unpack(ask(api, {"gate": None}, 5))[1]


def test_an_answer_is_bounded_and_what_is_named_first_comes_first(
    api: Api, stream: NewStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_route, "_MAX_ANSWER_BYTES", len(jpeg()) * 2)
    cameras = {name: stream(name) for name in ("a", "b", "c")}
    watch(api, *cameras)
    places = {name: camera.next() for name, camera in cameras.items()}
    watched = api.plane.live.watch(MODEL, {})
    wait_until(lambda: len(watched.newer(dict.fromkeys(cameras), 2**30)) == 3)

    assert set(unpack(ask(api, dict.fromkeys(("c", "a", "b"))))[0]) == {"c", "a"}
    assert set(unpack(ask(api, {"b": None, "c": places["c"], "a": None}))[0]) == {"b", "a"}

    monkeypatch.setattr(live_route, "_MAX_ANSWER_BYTES", 1)
    assert set(unpack(ask(api, dict.fromkeys("ab")))[0]) == {"a"}, "one in any case"


def test_a_camera_is_shown_at_most_five_times_per_second(api: Api, stream: NewStream) -> None:
    gate = stream("gate")
    watch(api, "gate")
    seen: set[str | None] = {None}
    last: str | None = None
    end_s = time.monotonic() + 1.5
    while time.monotonic() < end_s:
        gate.next()
        detections, _ = unpack(ask(api, {"gate": last}, 0.02))
        last = detections["gate"]["place"] if detections else last
        seen.add(last)

    assert 2 <= len(seen) - 1 <= 9


def test_the_bus_is_read_only_while_somebody_watches(
    api: Api, stream: NewStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_WATCHED_S", 0.3)
    gate = stream("gate")
    watch(api, "gate")
    watched = api.plane.live.watch(MODEL, {})

    wait_until(lambda: not watched.is_reading)
    wait_until(lambda: api.plane.live.watch(MODEL, {}) is not watched)

    monkeypatch.setattr(live, "_WATCHED_S", 10)
    watch(api, "gate")
    assert gate.next() in unpack(ask(api, {"gate": None}, 5))[1]


def test_a_model_without_a_stream_is_said_to_have_none(api: Api) -> None:
    status, why = error(ask(api, {"gate": None}, 5, model="cars"))

    assert status == 503
    assert "detections.cars" in why


def test_a_bus_that_was_lost_is_read_again(
    installation: Installation, start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RETRY_INTERVAL_S", 0.05)
    gate, api = Stream(installation.bus, "gate"), start_api()
    watch(api, "gate")
    polls = MemoryReader.poll

    def fail(*_: object) -> list[Record]:
        raise TransportError("the brokers were away")

    monkeypatch.setattr(MemoryReader, "poll", fail)
    watched = api.plane.live.watch(MODEL, {})
    wait_until(lambda: watched.trouble is not None)
    assert error(ask(api, {"gate": None})) == (503, "the brokers were away")

    monkeypatch.setattr(MemoryReader, "poll", polls)
    wait_until(lambda: watched.is_reading)
    assert gate.next() in unpack(ask(api, {"gate": None}, 5))[1]


@pytest.mark.parametrize(
    "body",
    [
        {"cameras": {}},
        {"model": MODEL},
        {"model": MODEL, "cameras": {"gate": 1}},
        {"model": MODEL, "cameras": {}, "wait_s": 6},
        {"model": MODEL, "cameras": {}, "wait_s": -1},
        {"model": MODEL, "cameras": {str(number): None for number in range(301)}},
    ],
)
def test_a_wrong_request_is_refused(api: Api, body: dict[str, object]) -> None:
    assert error(api.http.post("/live", json=body))[0] == 422


def test_nobody_watches_a_model_that_is_not_there(api: Api) -> None:
    assert error(ask(api, {"gate": None}, model="nobody")) == (404, "Model not found")


def test_watching_needs_the_read_token(start_api: StartApi) -> None:
    api = start_api(read_token="r" * 16, admin_token="a" * 16)

    assert error(ask(api, {"gate": None}))[0] == 401
    api.http.headers["Authorization"] = "Bearer " + "r" * 16
    assert error(ask(api, {"gate": None}, model="nobody"))[0] == 404


def without_picture(api: Api, camera: str) -> str:
    """The place of a frame that is shown without a picture."""
    detections, pictures = unpack(ask(api, {camera: None}, 5))
    assert detections[camera]["picture"] is False
    assert detections[camera]["message"]["objects"]
    assert pictures == {}
    return str(detections[camera]["place"])

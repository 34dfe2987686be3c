import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from framebus.backoff import Backoff
from framebus.errors import CameraError
from producer.cameras.camera import Camera, Picture
from producer.live_feed import LiveFeed
from producer.pace import Pace

TIMEOUT_S = 5


class Timeline(threading.Event):
    """A clock, and a stop event that makes the clock go on instead of waiting; remembers the waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 500.0
        self.waits_s: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self.waits_s.append(timeout)
            self.now_s += timeout
        return self.is_set()


class Scripted:
    """A live camera that plays a script: what it gives each time that it is opened.

    None is a picture, a number a picture that lasts so many seconds, and errors are raised. At the end of the
    script it calls `at_the_end`.
    """

    live = True

    def __init__(self, *passes: Sequence[float | Exception | None]) -> None:
        self._passes = iter(passes)
        self.closed = 0
        self.at_the_end: Callable[[], None] = lambda: None

    def pictures(self) -> Generator[Picture, None, None]:
        script = next(self._passes, None)
        if script is None:
            self.at_the_end()
            return
        try:
            for entry in script:
                if isinstance(entry, Exception):
                    raise entry
                yield Picture(b"", entry or 0)
        finally:
            self.closed += 1


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "camera-gate-source":
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


def feed_of(
    camera: Camera, timeline: threading.Event, left_out: Callable[[], None] = lambda: None
) -> LiveFeed:
    clock = timeline.clock if isinstance(timeline, Timeline) else lambda: 0.0
    return LiveFeed(
        "gate",
        camera,
        stop=timeline,
        pace=Pace(clock),
        backoff=Backoff(30, chance=lambda: 0.0),
        left_out=left_out,
        clock=clock,
    )


def play(camera: Scripted, timeline: Timeline) -> tuple[LiveFeed, list[dict[str, object]]]:
    """Plays a script to its end; returns the feed and what the log says."""

    def stop() -> None:
        timeline.set()
        feed.wake()

    feed = feed_of(camera, timeline)
    camera.at_the_end = stop
    with capture_logs() as lines:
        for _ in feed.pictures():
            pass
    return feed, [dict(line) for line in lines]


def test_a_camera_that_cannot_be_reached_is_tried_less_and_less_often(timeline: Timeline) -> None:
    play(Scripted(*[[CameraError("refused")]] * 9), timeline)

    assert timeline.waits_s[:9] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("there_s", "waits_s"), [(10, [0.5, 1, 2, 10, 0.5, 1]), (9, [0.5, 1, 2, 9, 4, 8])])
def test_a_camera_is_tried_soon_again_if_it_was_there_for_a_while(
    timeline: Timeline, there_s: float, waits_s: list[float]
) -> None:
    refused = [CameraError("refused")]

    play(Scripted(refused, refused, refused, [there_s, CameraError("lost")], refused), timeline)

    assert timeline.waits_s[:6] == waits_s


def test_the_log_tells_of_changes_only(timeline: Timeline) -> None:
    refused, no_route = [CameraError("refused")], [CameraError("no route")]

    feed, lines = play(
        Scripted(refused, refused, no_route, no_route, [None, None], [CameraError("lost")], [None, None]),
        timeline,
    )

    assert [(line["event"], line.get("error")) for line in lines] == [
        ("camera cannot be read", "refused"),
        ("camera cannot be read", "no route"),
        ("camera connected", None),
        ("camera lost", "the stream ended"),
        ("camera cannot be read", "lost"),
        ("camera connected", None),
        ("camera lost", "the stream ended"),
    ]
    assert {line["camera"] for line in lines} == {"gate"}
    assert feed.reconnects == 1


def test_each_connection_is_closed_before_the_next(timeline: Timeline) -> None:
    camera = Scripted([None], [None, CameraError("lost")], [CameraError("refused")])

    play(camera, timeline)

    assert camera.closed == 3


def test_pictures_that_are_asked_for_are_asked_for_when_they_are_due(timeline: Timeline) -> None:
    play(Scripted([2, 2, 2]), timeline)

    assert timeline.waits_s[:3] == [2, 2, 2]


class Pushing:
    """A live camera that gives one picture, and more as fast as it can when `push` is set; then it hangs."""

    live = True

    def __init__(self) -> None:
        self.push, self.pushed, self.released = threading.Event(), threading.Event(), threading.Event()

    def pictures(self) -> Generator[Picture, None, None]:
        yield Picture(b"first", 0)
        if self.push.wait(TIMEOUT_S):
            for number in range(100):
                yield Picture(b"%d" % number, 0)
        self.pushed.set()
        self.released.wait(TIMEOUT_S)

    def release(self) -> None:
        self.push.set()
        self.released.set()


def test_whoever_is_slow_gets_the_newest_picture_and_the_others_are_counted() -> None:
    camera, stop = Pushing(), threading.Event()
    left_out: list[None] = []
    pictures = feed_of(camera, stop, left_out=lambda: left_out.append(None)).pictures()
    next(pictures)

    before = datetime.now(UTC)
    camera.push.set()
    assert camera.pushed.wait(TIMEOUT_S)
    after = datetime.now(UTC)
    captured_at, newest = next(pictures)

    assert newest.content == b"99"
    assert len(left_out) == 99
    assert before <= captured_at <= after
    stop.set()
    camera.release()


def test_a_camera_that_hangs_does_not_hold_up_the_end() -> None:
    camera, stop = Pushing(), threading.Event()
    feed = feed_of(camera, stop)
    pictures = feed.pictures()
    next(pictures)

    stop.set()
    feed.wake()

    assert list(pictures) == []
    assert feed.running
    camera.release()


def test_it_is_connected_from_the_first_picture_until_it_is_lost() -> None:
    connected: list[bool] = []

    class Asking:
        live = True

        def pictures(self) -> Generator[Picture, None, None]:
            connected.append(feed.connected)
            if len(connected) > 2:
                stop.set()
                feed.wake()
                return
            yield Picture(b"", 0)
            connected.append(feed.connected)
            raise CameraError("lost")

    stop = Timeline()
    feed = feed_of(Asking(), stop)

    for _ in feed.pictures():
        pass

    assert connected == [False, True, False]


def test_a_bug_in_a_camera_is_no_lost_connection(timeline: Timeline) -> None:
    feed = feed_of(Scripted([None, ZeroDivisionError("a bug")]), timeline)

    with pytest.raises(ZeroDivisionError):
        list(feed.pictures())

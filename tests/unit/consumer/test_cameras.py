import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from consumer.cameras import CameraRates
from framebus.control import CameraStatus


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> CameraRates:
    return CameraRates(clock)


def play(rates: CameraRates, clock: Clock, seconds: int, *, fps: int, dropped: int = 0) -> None:
    """A camera for some seconds, with a beat after each."""
    for _ in range(seconds):
        for _ in range(fps):
            rates.answered("cam-1", "ssd", 0.05)
        for _ in range(dropped):
            rates.dropped("cam-1", "ssd")
        clock.now_s += 1
        rates.statuses()


def only(rates: CameraRates) -> CameraStatus:
    [status] = rates.statuses()
    return status


def test_nobody_is_told_of_before_there_is_a_frame(rates: CameraRates) -> None:
    assert rates.statuses() == ()


@pytest.mark.parametrize("seconds", [1, 5, 60])
def test_a_rate_is_that_of_the_last_seconds_from_the_first_on(
    rates: CameraRates, clock: Clock, seconds: int
) -> None:
    play(rates, clock, seconds, fps=25, dropped=5)

    status = only(rates)
    assert (status.camera, status.model) == ("cam-1", "ssd")
    assert (status.frames_per_s, status.dropped_per_s) == (25, 5)


def test_a_latency_is_the_mean_of_the_last_seconds(rates: CameraRates, clock: Clock) -> None:
    play(rates, clock, 20, fps=10)
    assert only(rates).latency_ms == 50

    rates.dropped("cam-1", "ssd")
    for _ in range(10):
        rates.answered("cam-1", "ssd", 1.0)
        clock.now_s += 1
        rates.statuses()

    assert only(rates).latency_ms == 1000


def test_a_camera_whose_frames_are_all_left_out_has_no_latency(rates: CameraRates, clock: Clock) -> None:
    play(rates, clock, 3, fps=0, dropped=5)

    assert only(rates).latency_ms is None


def test_the_first_frame_alone_is_no_high_rate(rates: CameraRates, clock: Clock) -> None:
    rates.answered("cam-1", "ssd", 0.05)
    assert only(rates).frames_per_s == 1

    clock.now_s += 0.001
    rates.answered("cam-1", "ssd", 0.05)
    assert only(rates).frames_per_s == 2


def test_a_rate_follows_a_camera_that_becomes_faster_and_slower(rates: CameraRates, clock: Clock) -> None:
    play(rates, clock, 30, fps=5)
    play(rates, clock, 11, fps=25)
    assert only(rates).frames_per_s == pytest.approx(25, abs=2.1)

    play(rates, clock, 11, fps=1)
    assert only(rates).frames_per_s == pytest.approx(1, abs=2.5)


def test_a_camera_that_says_nothing_is_forgotten_after_some_seconds(rates: CameraRates, clock: Clock) -> None:
    play(rates, clock, 20, fps=5)
    play(rates, clock, 5, fps=0)
    assert 0 < only(rates).frames_per_s < 5
    play(rates, clock, 8, fps=0)

    assert rates.statuses() == ()


def test_a_camera_that_comes_back_counts_anew(rates: CameraRates, clock: Clock) -> None:
    play(rates, clock, 20, fps=5)
    play(rates, clock, 30, fps=0)
    play(rates, clock, 3, fps=10)

    assert only(rates).frames_per_s == 10


def test_a_camera_whose_frames_are_all_left_out_is_told_of(rates: CameraRates, clock: Clock) -> None:
    play(rates, clock, 20, fps=0, dropped=4)

    assert (only(rates).frames_per_s, only(rates).dropped_per_s) == (0, 4)


def test_the_time_of_the_last_frame_is_a_date(rates: CameraRates, clock: Clock) -> None:
    before = datetime.now(UTC)
    play(rates, clock, 2, fps=1)
    after = datetime.now(UTC)
    play(rates, clock, 3, fps=0)

    assert before <= only(rates).last_frame_at <= after + timedelta(milliseconds=1)


def test_each_model_counts_a_camera_by_itself(rates: CameraRates, clock: Clock) -> None:
    for _ in range(10):
        rates.answered("cam-1", "ssd", 0.05)
    rates.answered("cam-1", "coco", 0.05)
    clock.now_s += 1

    assert [(one.model, one.frames_per_s) for one in rates.statuses()] == [("ssd", 10), ("coco", 1)]


def test_of_very_many_cameras_those_with_the_most_frames_are_told_of(
    rates: CameraRates, clock: Clock
) -> None:
    for camera in range(1_000):
        for _ in range(1 + camera % 5):
            rates.answered(f"cam-{camera}", "ssd", 0.05)
    clock.now_s += 1

    statuses = rates.statuses()
    assert len(statuses) == 300
    assert [one.frames_per_s for one in statuses] == [5] * 200 + [4] * 100


def test_no_camera_is_remembered_for_ever(rates: CameraRates, clock: Clock) -> None:
    for second in range(60):
        for camera in range(100):
            rates.answered(f"cam-{second}-{camera}", "ssd", 0.05)
        clock.now_s += 1
        told = len(rates.statuses())

    assert told <= 300
    clock.now_s += 11
    rates.statuses()
    assert rates.statuses() == ()
    assert not rates._counts, "a key that each frame brings anew would fill the memory"


def test_beats_that_come_rarely_still_tell_a_rate(rates: CameraRates, clock: Clock) -> None:
    for _ in range(5):
        for _ in range(600):
            rates.answered("cam-1", "ssd", 0.05)
        clock.now_s += 60

        assert only(rates).frames_per_s == 10


def test_any_thread_may_count(clock: Clock) -> None:
    rates = CameraRates(clock)
    stop = threading.Event()

    def count() -> None:
        for number in range(2_000):
            rates.answered(f"cam-{number % 7}", "ssd", 0.05)
            rates.dropped(f"cam-{number % 7}", "ssd")

    def look() -> None:
        while not stop.is_set():
            rates.statuses()
            time.sleep(0.001)

    threads = [threading.Thread(target=count) for _ in range(4)]
    looking = threading.Thread(target=look)
    for thread in (*threads, looking):
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    stop.set()
    looking.join(timeout=20)
    clock.now_s += 1

    statuses = rates.statuses()
    assert sum(one.frames_per_s for one in statuses) == pytest.approx(8_000)
    assert sum(one.dropped_per_s for one in statuses) == pytest.approx(8_000)

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from consumer.dead_letter import DeadLetters
from consumer.flight import FlyingFrame
from consumer.metrics import ConsumerMetrics
from consumer.outcomes import DeadShare, Outcomes
from consumer.release import Release
from framebus.bus.memory import MemoryBus
from framebus.errors import (
    FrameError,
    FrameTooLargeError,
    ProcessKilledError,
    TooManyDeadLettersError,
    UndecodableFrameError,
)
from framebus.settings import TopicSettings
from tests.engines import ScriptedEngine
from tests.flights import flying
from tests.pictures import jpeg
from tests.pipelines import (
    Run,
    all_read,
    at_work,
    committed,
    memory_bus,
    publish,
    running,
    settings_with,
    wait_until,
)

BROKEN = UndecodableFrameError("no picture")


def test_a_share_that_is_allowed_stops_nothing() -> None:
    share = DeadShare(0.5, 4)
    for error in (BROKEN, None, BROKEN, None) * 10:
        share.count(error)


def test_the_frame_that_makes_the_share_too_large_says_what_to_do() -> None:
    share = DeadShare(0.5, 4)
    for error in (None, None, BROKEN, BROKEN, None):
        share.count(error)

    with pytest.raises(TooManyDeadLettersError, match=r"3 of the last 4 .* no picture; .*framebus dead list"):
        share.count(BROKEN)


def test_nothing_is_stopped_before_so_many_frames_are_through() -> None:
    share = DeadShare(0.1, 10)
    for _ in range(9):
        share.count(BROKEN)

    with pytest.raises(TooManyDeadLettersError):
        share.count(BROKEN)


def test_a_share_of_one_never_stops() -> None:
    share = DeadShare(1, 5)
    for _ in range(50):
        share.count(BROKEN)


def test_dead_letters_of_long_ago_do_not_count() -> None:
    share = DeadShare(0.5, 4)
    for error in (BROKEN, BROKEN, None, None, None, None, BROKEN, BROKEN):
        share.count(error)


@given(
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 10),
    st.floats(0, 1, exclude_min=True, allow_nan=False),
)
def test_it_stops_at_the_first_dead_letter_that_is_one_too_many(
    are_dead: list[bool], window_frames: int, max_share: float
) -> None:
    share = DeadShare(max_share, window_frames)
    for number, is_dead in enumerate(are_dead):
        last = are_dead[: number + 1][-window_frames:]
        if is_dead and len(last) == window_frames and sum(last) > max_share * window_frames:
            with pytest.raises(TooManyDeadLettersError):
                share.count(BROKEN)
            return
        share.count(BROKEN if is_dead else None)


def test_threads_may_count_at_once() -> None:
    share = DeadShare(0.9, 50)
    failures: list[BaseException] = []

    def count(error: FrameError | None) -> None:
        try:
            for _ in range(5_000):
                share.count(error)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=count, args=[error]) for error in (BROKEN, None, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(isinstance(failure, TooManyDeadLettersError) for failure in failures)


class Ends:
    """Outcomes, and the frames that they have come to."""

    def __init__(self, *, window_frames: int = 100) -> None:
        self.dead_letters = DeadLetters(TopicSettings(), "test-model")
        self.published: list[FlyingFrame] = []
        self.landed: list[FlyingFrame] = []
        self.release = Release(self.published.append, self.landed.append)
        self.registry = CollectorRegistry()
        self.outcomes = Outcomes(
            model="test-model",
            dead_letters=self.dead_letters,
            release=self.release,
            landed=self.landed.append,
            dead_share=DeadShare(0.5, window_frames),
            metrics=ConsumerMetrics(self.registry, 10),
        )

    def admit(self, offset: int, *, freshness: str = "all") -> FlyingFrame:
        frame = flying(0, offset, freshness=freshness)  # type: ignore[arg-type]
        frame.offsets.admit(offset)
        self.release.admit(frame)
        return frame

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"model": "test-model", **labels}) or 0


def test_a_frame_that_was_left_out_is_finished_and_a_sign_of_life() -> None:
    ends = Ends()
    frame = ends.admit(0, freshness="latest")
    before_s = time.monotonic()
    ends.outcomes.drop(frame, "superseded")

    assert ends.landed == [frame]
    assert frame.offsets.to_commit() == 1
    assert ends.outcomes.acknowledged_s >= before_s
    assert ends.count("framebus_dropped_frames_total", camera="cam-1", reason="superseded") == 1


def test_a_frame_of_another_consumer_now_is_not_counted_as_dropped() -> None:
    ends = Ends()
    frame = ends.admit(0, freshness="latest")
    frame.offsets.is_given_away = True
    ends.outcomes.drop(frame, "superseded")

    assert ends.landed == [frame]
    assert ends.count("framebus_dropped_frames_total", camera="cam-1", reason="superseded") == 0


def test_one_too_many_is_told_when_it_is_published_and_it_is_finished() -> None:
    ends = Ends(window_frames=2)
    frames = [ends.admit(0), ends.admit(1)]
    for frame in frames:
        ends.outcomes.reject(frame, BROKEN)
    ends.outcomes.acknowledged(frames[0])
    with pytest.raises(TooManyDeadLettersError):
        ends.outcomes.acknowledged(frames[1])

    assert ends.published == ends.landed == frames


def test_dead_letters_that_overtook_frames_in_the_engine_do_not_count_before_them() -> None:
    ends = Ends(window_frames=4)
    frames = [ends.admit(offset) for offset in range(12)]
    for frame in frames[2::3]:
        ends.outcomes.reject(frame, BROKEN)
    for frame in frames:
        ends.outcomes.acknowledged(frame)

    assert ends.landed == frames


def test_what_is_too_large_to_publish_counts_as_a_dead_letter_once() -> None:
    ends = Ends(window_frames=2)
    too_large = FrameTooLargeError("for its topic")
    first, second = ends.admit(0), ends.admit(1)
    ends.dead_letters.shrink(first, too_large)
    ends.dead_letters.shrink(first, too_large)  # its dead letter is too large as well
    with pytest.raises(FrameTooLargeError):
        ends.dead_letters.shrink(first, too_large)
    ends.outcomes.acknowledged(first)
    ends.dead_letters.shrink(second, too_large)
    with pytest.raises(TooManyDeadLettersError):
        ends.outcomes.acknowledged(second)


def test_a_frame_is_counted_as_what_became_of_it() -> None:
    ends = Ends()
    frame = ends.admit(0)
    ends.outcomes.reject(frame, ProcessKilledError())
    ends.outcomes.acknowledged(frame)

    assert ends.landed == [frame]
    assert frame.offsets.to_commit() == 1
    assert ends.count("framebus_dead_letters_total", camera="cam-1", reason="process_killed") == 1


def damaged(bus: MemoryBus, number: int) -> None:
    publish(bus, b"no picture")


def too_much_for_the_engine(bus: MemoryBus, number: int) -> None:
    publish(bus, jpeg())


@pytest.mark.parametrize(
    ("publish_one", "engine"),
    [
        (damaged, ScriptedEngine()),
        (too_much_for_the_engine, ScriptedEngine(poison=lambda _: True)),
    ],
)
def test_a_topic_is_not_drained_into_the_dead_letters(
    publish_one: Callable[[MemoryBus, int], None], engine: ScriptedEngine
) -> None:
    bus = memory_bus()
    for number in range(100):
        publish_one(bus, number)
    run = Run(bus, engine, settings_with(dead_window_frames=20, max_in_flight_frames=8))
    run.start()
    run.thread.join(20)

    assert isinstance(run.failure, TooManyDeadLettersError)
    # Besides those that it takes to see it, no more than were in flight.
    assert sum(bus.high_watermark(one) for one in bus.partitions_of("frames.dead")) <= 20 + 8


def test_some_damaged_frames_stop_nothing() -> None:
    bus = memory_bus()
    for number in range(60):
        publish(bus, b"no picture" if number % 4 == 0 else jpeg())
    with running(bus, dead_window_frames=20) as run:
        wait_until(lambda: committed(bus) == all_read(bus))

    assert run.failure is None


def test_where_none_is_too_many_all_may_be_dead_letters() -> None:
    bus = memory_bus()
    for _ in range(50):
        publish(bus, b"no picture")
    with at_work(Run(bus, ScriptedEngine(), settings_with(dead_window_frames=10, max_dead_share=1))) as run:
        wait_until(lambda: committed(bus) == all_read(bus))

    assert run.failure is None

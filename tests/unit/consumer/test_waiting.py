import threading

from consumer.flight import FlyingFrame
from consumer.waiting import WaitingFrames
from tests.flights import flying


def latest(offset: int, camera_id: str) -> FlyingFrame:
    return flying(0, offset, camera_id=camera_id, freshness="latest")


def test_frames_leave_as_they_came() -> None:
    waiting = WaitingFrames()
    frames = [flying(0, offset) for offset in range(3)]
    assert [waiting.put(frame) for frame in frames] == [None] * 3

    assert len(waiting) == 3
    assert [waiting.take() for _ in frames] == frames


def test_where_only_the_latest_counts_a_newer_frame_takes_the_place_of_the_older() -> None:
    waiting = WaitingFrames()
    first, other, newer = latest(0, "fast"), latest(1, "slow"), latest(2, "fast")
    waiting.put(first)
    waiting.put(other)

    assert waiting.put(newer) is first
    assert [waiting.take(), waiting.take()] == [newer, other]


def test_a_frame_of_the_same_camera_on_another_topic_stays() -> None:
    waiting = WaitingFrames()
    waiting.put(flying(0, 0, camera_id="cam-1"))

    assert waiting.put(latest(1, "cam-1")) is None
    assert len(waiting) == 2


def test_only_what_may_be_left_out_is_evicted_the_oldest_first() -> None:
    waiting = WaitingFrames()
    needed, older, newer = flying(0, 0), latest(1, "a"), latest(2, "b")
    for frame in (needed, older, newer):
        waiting.put(frame)

    assert [waiting.evict(), waiting.evict(), waiting.evict()] == [older, newer, None]
    assert waiting.take() is needed


def test_what_is_left_is_handed_out_after_the_end() -> None:
    waiting = WaitingFrames()
    frame = flying(0, 0)
    waiting.put(frame)
    waiting.close()

    assert [waiting.take(), waiting.take()] == [frame, None]


def test_taking_waits_for_a_frame() -> None:
    waiting = WaitingFrames()
    taken: list[FlyingFrame | None] = []
    taker = threading.Thread(target=lambda: taken.append(waiting.take()))
    taker.start()
    frame = flying(0, 0)
    waiting.put(frame)
    taker.join(10)

    assert taken == [frame]

import threading

from consumer.flight import FlyingFrame
from consumer.waiting import WaitingFrames
from tests.flights import flying


def latest(offset: int, camera_id: str, partition: int = 0) -> FlyingFrame:
    return flying(partition, offset, camera_id=camera_id, freshness="latest")


def test_frames_leave_as_they_came() -> None:
    waiting = WaitingFrames(ahead=8)
    frames = [flying(0, offset) for offset in range(3)]
    assert [waiting.put(frame) for frame in frames] == [None] * 3

    assert len(waiting) == 3
    assert [waiting.take() for _ in frames] == frames


def test_where_only_the_latest_counts_a_newer_frame_takes_the_place_of_the_older() -> None:
    waiting = WaitingFrames(ahead=8)
    first, other, newer = latest(0, "fast"), latest(1, "slow"), latest(2, "fast")
    waiting.put(first)
    waiting.put(other)

    assert waiting.put(newer) is first
    assert [waiting.take(), waiting.take()] == [newer, other]


def test_a_frame_of_the_same_camera_on_another_partition_stays() -> None:
    waiting = WaitingFrames(ahead=8)
    waiting.put(latest(0, "cam-1"))

    assert waiting.put(latest(1, "cam-1", partition=1)) is None
    assert len(waiting) == 2


def test_neither_kind_of_frame_waits_for_a_backlog_of_the_other() -> None:
    waiting = WaitingFrames(ahead=8)
    for offset in range(4):
        waiting.put(flying(0, offset))
        waiting.put(latest(offset, f"cam-{offset}", partition=1))

    taken = [waiting.take() for _ in range(8)]
    assert [frame.only_latest for frame in taken if frame] == [False, True] * 4


def test_only_so_many_are_handed_out_ahead_of_the_engine_where_the_latest_counts() -> None:
    waiting = WaitingFrames(ahead=2)
    frames = [latest(offset, f"cam-{offset}") for offset in range(4)]
    for frame in frames:
        waiting.put(frame)
    assert [waiting.take(), waiting.take()] == frames[:2]
    taken: list[FlyingFrame | None] = []
    taker = threading.Thread(target=lambda: taken.append(waiting.take()))
    taker.start()

    newer, needed = latest(4, "cam-2"), flying(1, 0)
    assert waiting.put(newer) is frames[2]
    waiting.put(needed)  # nor does one that counts run ahead of those
    waiting.went_on()
    taker.join(10)
    waiting.allow_ahead(4)
    assert [*taken, waiting.take(), waiting.take()] == [needed, newer, frames[3]]


def test_where_every_frame_counts_as_many_are_handed_out_as_there_are() -> None:
    waiting = WaitingFrames(ahead=1)
    frames = [flying(0, offset) for offset in range(10)]
    for frame in frames:
        waiting.put(frame)

    assert [waiting.take() for _ in frames] == frames


def test_only_what_may_be_left_out_is_evicted_the_oldest_first() -> None:
    waiting = WaitingFrames(ahead=8)
    needed, older, newer = flying(0, 0), latest(1, "a"), latest(2, "b")
    for frame in (needed, older, newer):
        waiting.put(frame)

    assert [waiting.evict(), waiting.evict(), waiting.evict()] == [older, newer, None]
    assert waiting.take() is needed


def test_taking_waits_for_a_frame_or_the_end() -> None:
    waiting = WaitingFrames(ahead=8)
    taken: list[FlyingFrame | None] = []
    takers = [threading.Thread(target=lambda: taken.append(waiting.take())) for _ in range(2)]
    for taker in takers:
        taker.start()
    frame = flying(0, 0)
    waiting.put(frame)
    waiting.close()
    for taker in takers:
        taker.join(10)

    assert set(taken) == {frame, None}

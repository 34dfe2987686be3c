import threading
import time

from consumer.batcher import Batcher


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_full_batch_leaves_at_once_in_order() -> None:
    batcher: Batcher[int] = Batcher(3, max_delay_s=1000)
    for item in range(7):
        batcher.put("size", item)

    assert batcher.take() == [0, 1, 2]
    assert batcher.take() == [3, 4, 5]
    assert len(batcher) == 1


def test_a_batch_closes_max_delay_after_its_first_frame_not_its_last() -> None:
    clock = Clock()
    batcher: Batcher[int] = Batcher(8, max_delay_s=10, clock=clock)
    batcher.put("size", 1)
    clock.now_s += 9
    batcher.put("size", 2)
    clock.now_s += 1

    assert batcher.take() == [1, 2]


def test_take_waits_for_the_delay_when_frames_are_missing() -> None:
    batcher: Batcher[int] = Batcher(8, max_delay_s=0.05)
    started = time.monotonic()
    batcher.put("size", 1)

    assert batcher.take() == [1]
    assert time.monotonic() - started >= 0.05


def test_frames_with_different_keys_never_share_a_batch() -> None:
    batcher: Batcher[int] = Batcher(2, max_delay_s=1000)
    for item in range(4):
        batcher.put(item % 2, item)

    assert [batcher.take(), batcher.take()] == [[0, 2], [1, 3]]


def test_among_closed_batches_the_one_that_waited_longest_goes_first() -> None:
    clock = Clock()
    batcher: Batcher[str] = Batcher(2, max_delay_s=10, clock=clock)
    batcher.put("rare", "rare")
    for _ in range(2):
        clock.now_s += 6
        batcher.put("busy", "busy")

    assert batcher.take() == ["rare"]


def test_frames_left_behind_keep_their_own_deadline() -> None:
    clock = Clock()
    batcher: Batcher[int] = Batcher(2, max_delay_s=10, clock=clock)
    for item in range(3):
        batcher.put("size", item)
        clock.now_s += 1
    assert batcher.take() == [0, 1]
    clock.now_s += 9

    assert batcher.take() == [2]


def test_a_closed_batcher_hands_out_what_is_left_and_then_empty_batches() -> None:
    batcher: Batcher[int] = Batcher(8, max_delay_s=1000)
    batcher.put("size", 1)
    batcher.close()

    assert [batcher.take(), batcher.take()] == [[1], []]


def test_closing_wakes_every_thread_that_waits() -> None:
    batcher: Batcher[int] = Batcher(8, max_delay_s=1000)
    batches: list[list[int]] = []
    threads = [threading.Thread(target=lambda: batches.append(batcher.take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    batcher.close()
    for thread in threads:
        thread.join(timeout=10)

    assert batches == [[], [], []]

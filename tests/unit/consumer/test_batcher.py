import threading
import time

from hypothesis import given
from hypothesis import strategies as st

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


def test_an_urgent_picture_waits_for_no_other() -> None:
    batcher: Batcher[str] = Batcher(8, max_delay_s=1000)
    batcher.put("size", "urgent", is_urgent=True)

    assert batcher.take() == ["urgent"]


def test_an_urgent_picture_wakes_who_waits_for_a_batch_to_close() -> None:
    batcher: Batcher[str] = Batcher(8, max_delay_s=1000)
    batches: list[list[str]] = []
    thread = threading.Thread(target=lambda: batches.append(batcher.take()))
    batcher.put("size", "frame")
    thread.start()
    batcher.put("size", "urgent", is_urgent=True)
    thread.join(timeout=10)

    assert batches == [["urgent", "frame"]]


def test_an_urgent_picture_goes_first_and_takes_those_that_wait_with_it() -> None:
    batcher: Batcher[str] = Batcher(3, max_delay_s=1000)
    for item in ("frame 1", "frame 2"):
        batcher.put("size", item)
    for item in ("urgent 1", "urgent 2"):
        batcher.put("size", item, is_urgent=True)

    assert batcher.take() == ["urgent 1", "urgent 2", "frame 1"]
    assert len(batcher) == 1


def test_an_urgent_picture_goes_before_a_batch_that_is_full() -> None:
    batcher: Batcher[str] = Batcher(2, max_delay_s=1000)
    for item in ("frame 1", "frame 2"):
        batcher.put("large", item)
    batcher.put("small", "urgent", is_urgent=True)

    assert [batcher.take(), batcher.take()] == [["urgent"], ["frame 1", "frame 2"]]


def test_urgent_pictures_never_share_a_batch_with_other_keys() -> None:
    batcher: Batcher[str] = Batcher(8, max_delay_s=1000)
    batcher.put("large", "large", is_urgent=True)
    batcher.put("small", "small", is_urgent=True)

    assert [batcher.take(), batcher.take()] == [["large"], ["small"]]


def test_streams_and_urgent_pictures_take_turns_so_that_neither_starves() -> None:
    batcher: Batcher[str] = Batcher(2, max_delay_s=1000)
    for _ in range(6):
        batcher.put("stream", "frame")
        batcher.put("urgent", "urgent", is_urgent=True)

    batches = []
    for _ in range(4):
        # However fast either kind comes, the other has its turn.
        batches.append(set(batcher.take()))
        for _ in range(2):
            batcher.put("stream", "frame")
            batcher.put("urgent", "urgent", is_urgent=True)

    assert batches == [{"urgent"}, {"frame"}, {"urgent"}, {"frame"}]


def test_on_the_turn_of_a_stream_its_frames_come_first_under_one_key_too() -> None:
    clock = Clock()
    batcher: Batcher[str] = Batcher(2, max_delay_s=10, clock=clock)
    for number in range(3):
        batcher.put("size", f"frame {number}")
    for number in range(5):
        batcher.put("size", f"urgent {number}", is_urgent=True)
    clock.now_s += 10

    assert [batcher.take() for _ in range(4)] == [
        ["urgent 0", "urgent 1"],
        ["frame 0", "frame 1"],
        ["urgent 2", "urgent 3"],
        ["frame 2", "urgent 4"],
    ]


def test_frames_of_a_stream_that_may_still_wait_hold_up_nothing_urgent() -> None:
    clock = Clock()
    batcher: Batcher[str] = Batcher(8, max_delay_s=10, clock=clock)
    batcher.put("stream", "frame")
    for number in range(3):
        batcher.put("urgent", str(number), is_urgent=True)
        assert batcher.take() == [str(number)]
    clock.now_s += 10
    batcher.put("urgent", "late", is_urgent=True)

    assert batcher.take() == ["frame"], "the last turn was not the stream's"
    assert batcher.take() == ["late"]


def test_urgent_pictures_are_taken_in_the_order_they_came() -> None:
    clock = Clock()
    batcher: Batcher[str] = Batcher(1, max_delay_s=10, clock=clock)
    for key in ("large", "small", "large"):
        batcher.put(key, f"{key} at {clock.now_s}", is_urgent=True)
        clock.now_s += 1

    assert [batcher.take() for _ in range(3)] == [["large at 100.0"], ["small at 101.0"], ["large at 102.0"]]


def test_a_new_batch_size_holds_from_the_next_batch_on() -> None:
    batcher: Batcher[int] = Batcher(4, max_delay_s=1000)
    for item in range(6):
        batcher.put("size", item)
    assert batcher.take() == [0, 1, 2, 3]

    batcher.batch_size = 2
    assert batcher.take() == [4, 5]


def test_what_was_discarded_is_not_taken() -> None:
    batcher: Batcher[object] = Batcher(8, max_delay_s=1000)
    first, second = object(), object()
    for item in (first, second):
        batcher.put("size", item, is_urgent=True)

    batcher.discard(first)

    assert len(batcher) == 1
    assert batcher.take() == [second]


def test_discarding_what_has_left_changes_nothing() -> None:
    batcher: Batcher[object] = Batcher(1, max_delay_s=1000)
    first, second = object(), object()
    batcher.put("size", first, is_urgent=True)
    batcher.put("size", second, is_urgent=True)
    assert batcher.take() == [first]

    batcher.discard(first)

    assert batcher.take() == [second]


def test_discarding_all_leaves_nothing_to_close() -> None:
    batcher: Batcher[object] = Batcher(8, max_delay_s=1000)
    only = object()
    batcher.put("size", only, is_urgent=True)
    batcher.discard(only)
    batcher.close()

    assert batcher.take() == []


def test_a_closed_batcher_takes_no_more_and_says_so() -> None:
    batcher: Batcher[int] = Batcher(8, max_delay_s=1000)
    assert batcher.put("size", 1, is_urgent=True)
    batcher.close()

    assert not batcher.put("size", 2, is_urgent=True)
    assert not batcher.put("size", 3)
    assert [batcher.take(), batcher.take()] == [[1], []]


@given(
    events=st.lists(
        st.tuples(st.sampled_from("ab"), st.booleans(), st.floats(0, 5)) | st.none(), max_size=60
    ),
    batch_size=st.integers(1, 4),
)
def test_every_picture_is_handed_out_once_in_order_with_its_like(
    events: list[tuple[str, bool, float] | None], batch_size: int
) -> None:
    clock = Clock()
    batcher: Batcher[tuple[str, bool, int]] = Batcher(batch_size, max_delay_s=0, clock=clock)
    put: list[tuple[str, bool, int]] = []
    batches: list[list[tuple[str, bool, int]]] = []
    for number, event in enumerate(events):
        if event is not None:
            key, is_urgent, later_s = event
            put.append((key, is_urgent, number))
            batcher.put(key, put[-1], is_urgent=is_urgent)
            clock.now_s += later_s
        elif len(batcher):
            batches.append(batcher.take())
    batcher.close()
    while batch := batcher.take():
        batches.append(batch)

    taken = [item for batch in batches for item in batch]
    assert sorted(taken, key=lambda item: item[2]) == put
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert all(len({key for key, _, _ in batch}) == 1 for batch in batches)
    for kind in {item[:2] for item in put}:
        assert [item for item in taken if item[:2] == kind] == [item for item in put if item[:2] == kind]

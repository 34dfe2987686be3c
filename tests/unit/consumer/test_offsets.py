import threading

from hypothesis import given
from hypothesis import strategies as st

from consumer.offsets import OffsetTracker


def test_only_the_contiguous_finished_beginning_may_be_committed() -> None:
    offsets = OffsetTracker()
    for offset in (10, 11, 12):
        offsets.admit(offset)
    offsets.finish(12)
    offsets.finish(11)
    assert offsets.to_commit() is None

    offsets.finish(10)
    assert offsets.to_commit() == 13


def test_nothing_to_commit_again_until_more_is_finished() -> None:
    offsets = OffsetTracker()
    offsets.admit(0)
    offsets.finish(0)
    offsets.committed(1)
    assert offsets.to_commit() is None

    offsets.admit(1)
    offsets.finish(1)
    assert offsets.to_commit() == 2


def test_gaps_in_the_log_do_not_hold_back_the_commit() -> None:
    offsets = OffsetTracker()
    offsets.admit(3)
    offsets.admit(9)
    offsets.finish(3)
    assert offsets.to_commit() == 4

    offsets.finish(9)
    assert offsets.to_commit() == 10


def test_waiting_ends_when_the_last_frame_in_flight_finishes() -> None:
    offsets = OffsetTracker()
    offsets.admit(0)
    assert not offsets.wait_until_finished(0)

    threading.Timer(0.05, offsets.finish, [0]).start()
    assert offsets.wait_until_finished(10)


@given(st.permutations(range(8)))
def test_in_whatever_order_frames_finish_no_unfinished_one_is_passed(order: list[int]) -> None:
    offsets = OffsetTracker()
    for offset in range(8):
        offsets.admit(offset)
    finished: set[int] = set()
    for offset in order:
        offsets.finish(offset)
        finished.add(offset)
        next_offset = offsets.next_offset()
        assert next_offset == next(n for n in range(9) if n not in finished)


def test_a_commit_never_goes_back_behind_what_is_stored() -> None:
    offsets = OffsetTracker()
    offsets.admit(5)
    offsets.finish(5)
    offsets.committed(8)  # a note was stored where the next frame stands, behind a gap
    offsets.admit(8)
    assert offsets.to_commit() is None

    offsets.finish(8)
    assert offsets.to_commit() == 9


def test_late_word_of_an_older_commit_changes_nothing() -> None:
    offsets = OffsetTracker()
    for offset in (0, 1):
        offsets.admit(offset)
        offsets.finish(offset)
    offsets.committed(2)
    offsets.committed(1)

    assert offsets.to_commit() is None


@given(
    st.lists(st.integers(0, 30), unique=True, min_size=1).map(sorted), st.sets(st.integers(0, 30)), st.data()
)
def test_what_is_about_to_finish_is_counted_as_if_it_had(
    admitted: list[int], finished: set[int], data: st.DataObject
) -> None:
    finishing = data.draw(st.sets(st.sampled_from(admitted)))
    asked, told = OffsetTracker(), OffsetTracker()
    for offsets in (asked, told):
        for offset in admitted:
            offsets.admit(offset)
            if offset in finished:
                offsets.finish(offset)
    for offset in finishing - finished:
        told.finish(offset)

    assert asked.to_commit(finishing) == told.to_commit()

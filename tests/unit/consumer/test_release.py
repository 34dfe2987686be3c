from random import Random

from hypothesis import given
from hypothesis import strategies as st

from consumer.flight import FlyingFrame
from consumer.release import Release
from framebus.bus import OutgoingRecord, Partition
from tests.flights import flying

OUTCOME = OutgoingRecord("detections.test-model", b"cam-1", b"{}")


def complete(release: Release, frame: FlyingFrame) -> None:
    release.complete(frame, OUTCOME)


@given(st.permutations([(partition, offset) for partition in range(2) for offset in range(4)]))
def test_each_partition_leaves_in_offset_order_however_frames_complete(order: list[tuple[int, int]]) -> None:
    published: list[FlyingFrame] = []
    release = Release(published.append, lambda _: None)
    frames = {(partition, offset): flying(partition, offset) for partition in range(2) for offset in range(4)}
    for frame in frames.values():
        release.admit(frame)

    for position in order:
        complete(release, frames[position])

    for partition in range(2):
        left = [frame.record.offset for frame in published if frame.record.partition.number == partition]
        assert left == [0, 1, 2, 3]


def test_a_slow_frame_holds_back_only_its_own_partition() -> None:
    published: list[FlyingFrame] = []
    release = Release(published.append, lambda _: None)
    slow, behind, elsewhere = flying(0, 0), flying(0, 1), flying(1, 0)
    for frame in (slow, behind, elsewhere):
        release.admit(frame)

    complete(release, behind)
    complete(release, elsewhere)
    assert published == [elsewhere]

    complete(release, slow)
    assert published == [elsewhere, slow, behind]


def test_nothing_of_a_partition_that_was_given_away_is_published() -> None:
    published: list[FlyingFrame] = []
    discarded: list[FlyingFrame] = []
    release = Release(published.append, discarded.append)
    unfinished, finished = flying(0, 0), flying(0, 1)
    release.admit(unfinished)
    release.admit(finished)
    complete(release, finished)

    release.abandon(Partition("frames", 0))
    complete(release, unfinished)

    assert published == []
    assert discarded == [finished, unfinished]


def test_a_partition_that_comes_back_starts_afresh() -> None:
    published: list[FlyingFrame] = []
    release = Release(published.append, lambda _: None)
    before = flying(0, 0)
    release.admit(before)
    release.abandon(Partition("frames", 0))

    again = flying(0, 0)
    release.admit(again)
    complete(release, before)
    complete(release, again)

    assert published == [again]


def test_a_frame_that_is_left_out_holds_nothing_back() -> None:
    published: list[FlyingFrame] = []
    release = Release(published.append, lambda _: None)
    left_out, behind, last = (flying(0, offset) for offset in range(3))
    for frame in (left_out, behind, last):
        release.admit(frame)
    complete(release, behind)

    release.leave_out(left_out)
    assert published == [behind]

    release.leave_out(last)
    release.abandon(Partition("frames", 0))
    assert published == [behind]


def test_where_only_the_latest_counts_no_camera_waits_for_another() -> None:
    published: list[FlyingFrame] = []
    discarded: list[FlyingFrame] = []
    release = Release(published.append, discarded.append)
    slow, quick, next_slow = (
        flying(0, offset, camera_id=camera, freshness="latest")
        for offset, camera in enumerate(("slow", "quick", "slow"))
    )
    for frame in (slow, quick, next_slow):
        release.admit(frame)

    complete(release, next_slow)
    complete(release, quick)
    assert published == [quick]

    release.abandon(Partition("frames", 0))
    complete(release, slow)
    assert published == [quick]
    assert discarded == [next_slow, slow]


@given(st.lists(st.sampled_from(["admit", "complete", "leave out", "abandon"]), max_size=60), st.randoms())
def test_whatever_happens_when_each_frame_has_one_end_and_those_published_are_in_order(
    deeds: list[str], random: Random
) -> None:
    left_out: list[FlyingFrame] = []
    published: list[FlyingFrame] = []
    discarded: list[FlyingFrame] = []
    release = Release(published.append, discarded.append)
    waiting: list[FlyingFrame] = []
    abandoned: set[FlyingFrame] = set()
    for offset, deed in enumerate(deeds):
        if deed == "admit":
            waiting.append(flying(0, offset))
            release.admit(waiting[-1])
        elif deed == "abandon":
            release.abandon(Partition("frames", 0))
            abandoned.update(waiting)
        elif waiting:
            frame = waiting.pop(random.randrange(len(waiting)))
            if deed == "complete":
                complete(release, frame)
            else:
                release.leave_out(frame)
                left_out.append(frame)
    for frame in random.sample(waiting, len(waiting)):
        complete(release, frame)

    ends = published + discarded + left_out
    assert len(ends) == len(set(ends)) == deeds.count("admit")
    assert [frame.record.offset for frame in published] == sorted(frame.record.offset for frame in published)
    assert not abandoned & set(published)

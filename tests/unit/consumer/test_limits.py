import threading

from consumer.limits import Limit


def test_room_is_used_up_by_frames_or_by_bytes() -> None:
    limit = Limit(max_frames=3, max_bytes=100)
    limit.take(40)
    assert limit.room() == 2

    limit.take(60)
    assert limit.room() == 0

    limit.give_back(60)
    assert limit.room() == 2


def test_a_frame_larger_than_the_limit_still_passes_alone() -> None:
    limit = Limit(max_frames=3, max_bytes=100)
    limit.take_when_fits(500)
    assert limit.bytes == 500
    assert limit.room() == 0


def test_a_frame_that_does_not_fit_waits_until_it_does() -> None:
    limit = Limit(max_frames=3, max_bytes=100)
    limit.take_when_fits(80)
    waiting = threading.Thread(target=limit.take_when_fits, args=(50,))
    waiting.start()
    waiting.join(timeout=0.05)
    assert limit.bytes == 80

    limit.give_back(80)
    waiting.join(timeout=10)
    assert limit.bytes == 50


def test_waiting_for_room_or_emptiness_tells_whether_it_came() -> None:
    limit = Limit(max_frames=2, max_bytes=100)
    limit.take(1)
    assert limit.wait_for_room(0)
    assert not limit.wait_until_empty(0)
    limit.take(1)
    assert not limit.wait_for_room(0)

    limit.give_back(1)
    limit.give_back(1)
    assert limit.wait_for_room(0)
    assert limit.wait_until_empty(0)


def test_half_empty_means_frames_and_bytes() -> None:
    limit = Limit(max_frames=4, max_bytes=100)
    limit.take(40)
    limit.take(10)
    assert limit.is_half_empty()

    limit.take(1)
    assert not limit.is_half_empty(), "more than half of the frames"
    limit.give_back(1)
    limit.give_back(10)
    limit.take(20)
    assert not limit.is_half_empty(), "more than half of the bytes"

from datetime import UTC, datetime

from framebus.frames import EncodedFrame
from producer.buffer import FrameBuffer


def frame(number: int, size_bytes: int = 10, camera_id: str = "gate") -> EncodedFrame:
    return EncodedFrame(camera_id, str(number), datetime.now(UTC), bytes(size_bytes))


def taken(buffer: FrameBuffer) -> list[str]:
    ids = []
    while (oldest := buffer.take(0)) is not None:
        ids.append(oldest.frame_id)
    return ids


def test_frames_leave_in_the_order_they_came() -> None:
    buffer = FrameBuffer(10, 1_000)
    for number in range(3):
        assert buffer.put(frame(number)) == []

    assert (len(buffer), buffer.bytes) == (3, 30)
    assert taken(buffer) == ["0", "1", "2"]
    assert (len(buffer), buffer.bytes) == (0, 0)


def test_the_oldest_of_all_cameras_goes_when_there_are_too_many_frames() -> None:
    buffer = FrameBuffer(3, 1_000)
    for number, camera_id in enumerate(["yard", "gate", "gate"]):
        buffer.put(frame(number, camera_id=camera_id))

    assert [gone.camera_id for gone in buffer.put(frame(3))] == ["yard"]
    assert taken(buffer) == ["1", "2", "3"]


def test_as_many_go_as_the_bytes_of_the_new_one_need() -> None:
    buffer = FrameBuffer(10, 100)
    for number in range(4):
        buffer.put(frame(number, 25))

    assert [gone.frame_id for gone in buffer.put(frame(4, 60))] == ["0", "1", "2"]
    assert buffer.bytes == 85


def test_a_frame_larger_than_the_buffer_still_fits_an_empty_one() -> None:
    buffer = FrameBuffer(10, 100)
    buffer.put(frame(0))

    assert [gone.frame_id for gone in buffer.put(frame(1, 1_000))] == ["0"]
    assert taken(buffer) == ["1"]


def test_a_frame_that_is_put_back_is_the_oldest_again() -> None:
    buffer = FrameBuffer(10, 1_000)
    buffer.put(frame(0))
    buffer.put(frame(1))
    oldest = buffer.take(0)
    assert oldest is not None

    buffer.put_back(oldest)

    assert buffer.bytes == 20
    assert taken(buffer) == ["0", "1"]

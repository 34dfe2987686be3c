import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import pytest

from framebus.errors import CameraError
from framebus.frames import EncodedFrame
from producer.camera_reader import CameraReader
from producer.cameras.camera import Camera, Picture


class Pictures:
    """A camera of `count` pictures that may fail behind them."""

    def __init__(self, count: int = 3, *, lasts_s: float = 0.0, then: BaseException | None = None) -> None:
        self._count = count
        self._lasts_s = lasts_s
        self._then = then
        self.passes_closed = 0

    def pictures(self) -> Generator[Picture, None, None]:
        try:
            for number in range(self._count):
                yield Picture(b"%d" % number, "image/png", self._lasts_s)
            if self._then is not None:
                raise self._then
        finally:
            self.passes_closed += 1


class Timeline(threading.Event):
    """A clock, and a stop event that makes the clock go on instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 500.0

    def clock(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s += timeout or 0
        return self.is_set()


def read(camera: Camera, *, loop: bool = False, max_frames: int | None = None) -> list[EncodedFrame]:
    frames: list[EncodedFrame] = []
    reader = CameraReader(
        "gate", camera, accept=frames.append, stop=threading.Event(), loop=loop, max_frames=max_frames
    )
    reader.run()
    assert reader.failure is None
    return frames


def test_a_frame_tells_its_camera_number_time_and_content() -> None:
    before = datetime.now(UTC)
    frames = read(Pictures(3))

    assert [frame.camera_id for frame in frames] == ["gate"] * 3
    assert [frame.sequence for frame in frames] == ["1", "2", "3"]
    assert [frame.data for frame in frames] == [b"0", b"1", b"2"]
    assert {frame.content_type for frame in frames} == {"image/png"}
    assert all(before <= frame.captured_at <= datetime.now(UTC) for frame in frames)
    assert frames[0].captured_at.utcoffset() == timedelta(0)


def test_frame_ids_name_camera_and_number_and_never_repeat() -> None:
    frames = read(Pictures(3), loop=True, max_frames=8)
    ids = [frame.frame_id for frame in frames]

    assert len(set(ids)) == 8
    assert all(
        frame_id.startswith("gate-") and frame_id.endswith(f"-{number}")
        for number, frame_id in enumerate(ids, 1)
    )


def test_frames_come_when_they_are_due_through_all_passes() -> None:
    timeline = Timeline()
    times_s: list[float] = []
    CameraReader(
        "gate",
        Pictures(3, lasts_s=0.25),
        accept=lambda _: times_s.append(timeline.now_s),
        stop=timeline,
        loop=True,
        max_frames=7,
        clock=timeline.clock,
    ).run()

    assert times_s == [500 + number * 0.25 for number in range(7)]


def test_a_camera_that_is_left_early_is_closed() -> None:
    camera = Pictures(3)

    assert len(read(camera, max_frames=2)) == 2
    assert camera.passes_closed == 1


def test_stop_ends_the_wait_for_the_next_picture() -> None:
    stop = threading.Event()
    camera = Pictures(3, lasts_s=3_600)
    frames: list[EncodedFrame] = []

    def accept(frame: EncodedFrame) -> None:
        frames.append(frame)
        stop.set()

    CameraReader("gate", camera, accept=accept, stop=stop).run()

    assert len(frames) == 1
    assert camera.passes_closed == 1


@pytest.mark.parametrize("error", [CameraError("no signal"), ZeroDivisionError("a bug")])
def test_what_goes_wrong_is_kept_after_the_frames_before_it(error: Exception) -> None:
    frames: list[EncodedFrame] = []
    reader = CameraReader("gate", Pictures(2, then=error), accept=frames.append, stop=threading.Event())

    reader.run()

    assert len(frames) == 2
    assert reader.failure is error


def test_a_camera_that_does_not_run_is_never_overdue() -> None:
    timeline = Timeline()
    reader = CameraReader("gate", Pictures(), accept=print, stop=timeline, clock=timeline.clock)
    timeline.now_s += 100

    assert not reader.running
    assert reader.overdue_s == 0

import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from framebus.errors import CameraError, FrameTooLargeError
from framebus.frames import EncodedFrame
from framebus.images import size
from producer.camera_reader import CameraReader
from producer.camera_spec import CameraSpec
from producer.cameras.camera import Camera, Picture
from producer.encoder import Encoder
from tests.pictures import jpeg, picture


class Pictures:
    """A camera of `count` pictures that may fail behind them."""

    live = False

    def __init__(self, count: int = 3, *, lasts_s: float = 0.0, then: BaseException | None = None) -> None:
        self._count = count
        self._lasts_s = lasts_s
        self._then = then
        self.passes_closed = 0

    def pictures(self) -> Generator[Picture, None, None]:
        try:
            for number in range(self._count):
                yield Picture(jpeg(seed=number), self._lasts_s)
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


class Reading:
    """What a reader did: the frames that it gave, and the pictures that it skipped."""

    def __init__(self) -> None:
        self.frames: list[EncodedFrame] = []
        self.skipped: list[tuple[str, str, str | None]] = []

    def reader(
        self,
        camera: Camera,
        *,
        accept: Callable[[EncodedFrame], None] | None = None,
        max_frames: int | None = None,
        timeline: Timeline | None = None,
        **spec: Any,
    ) -> CameraReader:
        described = CameraSpec(id="gate", source="given", **spec)
        return CameraReader(
            described,
            camera,
            encoder=Encoder(jpeg_quality=90, fit=described.resize, max_pixels=10**6),
            accept=accept or self.frames.append,
            skipped=lambda *what: self.skipped.append(what),
            max_frames=max_frames,
            stop=timeline,
            clock=time.monotonic if timeline is None else timeline.clock,
        )


def read(camera: Camera, *, max_frames: int | None = None, **spec: Any) -> list[EncodedFrame]:
    reading = Reading()
    reader = reading.reader(camera, max_frames=max_frames, **spec)
    reader.run()
    assert reader.failure is None
    assert reading.skipped == []
    return reading.frames


def test_a_frame_tells_its_camera_number_time_content_and_model() -> None:
    before = datetime.now(UTC)
    frames = read(Pictures(3), model="ssd")

    assert [frame.camera_id for frame in frames] == ["gate"] * 3
    assert [frame.sequence for frame in frames] == ["1", "2", "3"]
    assert [frame.data for frame in frames] == [jpeg(seed=number) for number in range(3)]
    assert {frame.content_type for frame in frames} == {"image/jpeg"}
    assert {frame.model for frame in frames} == {"ssd"}
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
    Reading().reader(
        Pictures(3, lasts_s=0.25),
        accept=lambda _: times_s.append(timeline.now_s),
        timeline=timeline,
        loop=True,
        max_frames=7,
    ).run()

    assert times_s == [500 + number * 0.25 for number in range(7)]


def test_pictures_beyond_the_rate_are_skipped_and_take_no_number() -> None:
    reading = Reading()

    reading.reader(Pictures(20, lasts_s=0.1), timeline=Timeline(), max_fps=5).run()

    assert [frame.data for frame in reading.frames] == [jpeg(seed=number) for number in range(0, 20, 2)]
    assert [frame.sequence for frame in reading.frames] == [str(number) for number in range(1, 11)]
    assert reading.skipped == [("gate", "rate_limited", None)] * 10


def test_pictures_are_made_as_large_as_was_asked_for() -> None:
    class Large:
        live = False

        def pictures(self) -> Generator[Picture, None, None]:
            yield Picture(picture(400, 100), 0)
            yield Picture(jpeg(100, 200), 0)

    assert [size(frame.data) for frame in read(Large(), resize="100x100")] == [(100, 25), (50, 100)]


def test_what_is_no_picture_is_skipped_with_the_reason_and_the_rest_goes_on() -> None:
    class Damaged:
        live = False

        def pictures(self) -> Generator[Picture, None, None]:
            yield Picture(jpeg(seed=1), 0)
            yield Picture(b"no picture", 0)
            yield Picture(FrameTooLargeError("a picture of more than 100 bytes"), 0)
            yield Picture(jpeg(seed=2), 0)

    reading = Reading()
    reading.reader(Damaged()).run()

    assert [frame.sequence for frame in reading.frames] == ["1", "2"]
    assert [skipped[:2] for skipped in reading.skipped] == [("gate", "undecodable"), ("gate", "too_large")]
    assert "not a JPEG, PNG or WebP" in str(reading.skipped[0][2])
    assert reading.skipped[1][2] == "a picture of more than 100 bytes"


def test_a_camera_that_is_left_early_is_closed() -> None:
    camera = Pictures(3)

    assert len(read(camera, max_frames=2)) == 2
    assert camera.passes_closed == 1


def test_a_stop_ends_the_wait_for_the_next_picture() -> None:
    camera, reading, first = Pictures(3, lasts_s=3_600), Reading(), threading.Event()

    def accept(frame: EncodedFrame) -> None:
        reading.frames.append(frame)
        first.set()

    reader = reading.reader(camera, accept=accept)
    reader.start()
    assert first.wait(5)

    reader.stop()

    wait_until_closed(reader)
    assert len(reading.frames) == 1
    assert camera.passes_closed == 1


def test_after_a_stop_a_picture_that_was_under_way_is_no_frame() -> None:
    class Slow:
        live = False

        def __init__(self) -> None:
            self.asked, self.released = threading.Event(), threading.Event()

        def pictures(self) -> Generator[Picture, None, None]:
            self.asked.set()
            self.released.wait()
            yield Picture(jpeg(), 0)

    camera, reading = Slow(), Reading()
    reader = reading.reader(camera)
    reader.start()
    assert camera.asked.wait(5)

    reader.stop()
    camera.released.set()

    wait_until_closed(reader)
    assert reading.frames == []


@pytest.mark.parametrize("error", [CameraError("no signal"), ZeroDivisionError("a bug")])
def test_what_goes_wrong_is_kept_after_the_frames_before_it(error: Exception) -> None:
    reading = Reading()
    reader = reading.reader(Pictures(2, then=error))

    reader.run()

    assert len(reading.frames) == 2
    assert reader.failure is error


class Live:
    """A live camera that is lost after each picture, for ever."""

    live = True

    def __init__(self) -> None:
        self.passes = 0

    def pictures(self) -> Generator[Picture, None, None]:
        self.passes += 1
        yield Picture(jpeg(seed=self.passes), 0)
        raise CameraError("lost")


def test_a_live_camera_is_opened_again_and_its_numbers_go_on() -> None:
    camera, reading = Live(), Reading()
    reader = reading.reader(camera, timeline=Timeline(), max_frames=5)

    reader.run()

    wait_until_closed(reader)
    assert reader.failure is None
    assert [frame.sequence for frame in reading.frames] == ["1", "2", "3", "4", "5"]
    assert reader.reconnects >= 4


def test_silence_grows_from_the_start_and_from_each_picture() -> None:
    timeline = Timeline()
    silences_s: list[float] = []
    reader = Reading().reader(
        Pictures(2, lasts_s=3), timeline=timeline, accept=lambda _: silences_s.append(reader.silence_s)
    )
    timeline.now_s += 7
    before_s = reader.silence_s

    reader.run()
    timeline.now_s += 11

    assert (before_s, silences_s, reader.silence_s) == (7, [0, 0], 11)


def test_what_is_no_picture_does_not_end_a_silence() -> None:
    class Damaged:
        live = False

        def pictures(self) -> Generator[Picture, None, None]:
            yield Picture(jpeg(), 3)
            for _ in range(4):
                yield Picture(b"no picture", 3)

    timeline = Timeline()
    reader = Reading().reader(Damaged(), timeline=timeline)

    reader.run()

    assert reader.silence_s == 12


def test_a_camera_that_does_not_run_is_neither_overdue_nor_connected() -> None:
    timeline = Timeline()
    reader = Reading().reader(Pictures(), timeline=timeline)
    timeline.now_s += 100

    assert not reader.running
    assert not reader.connected
    assert reader.overdue_s == 0


def wait_until_closed(reader: CameraReader) -> None:
    """Waits for the threads of a reader that was told to stop, or came to its end."""
    for thread in threading.enumerate():
        if thread.name.startswith("camera-gate"):
            thread.join(5)
    assert not reader.open

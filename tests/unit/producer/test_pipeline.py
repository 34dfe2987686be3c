import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.errors import CameraError, TransportError
from framebus.images import decode
from framebus.settings import Settings
from producer import camera_set as camera_set_module
from producer import pipeline as pipeline_module
from producer.camera_spec import CameraSpec
from producer.cameras import create_camera
from producer.cameras.camera import Camera, Picture
from tests.pictures import jpeg
from tests.unit.producer.brokers import DistantBroker
from tests.unit.producer.conftest import MakeDirectory, MakePipeline, MakeVideo, on_the_bus


@pytest.fixture(autouse=True)
def _cameras_end() -> Iterator[None]:
    """Sees to it that no camera outlives its test."""
    with capture_logs():
        yield
        for thread in threading.enumerate():
            if thread.name.startswith("camera-"):
                thread.join(5)
                assert not thread.is_alive()


def camera(path: Path, fps: float = 10_000) -> Camera:
    return create_camera(CameraSpec(id="any", source=str(path), fps=fps), Settings())


class Hanging:
    """A camera that gives one picture and then nothing more until it is released."""

    live = False

    def __init__(self) -> None:
        self.released = threading.Event()

    def pictures(self) -> Generator[Picture, None, None]:
        yield Picture(jpeg(), 0)
        self.released.wait()


class Refused:
    """A live camera that cannot be reached."""

    live = True

    def pictures(self) -> Generator[Picture, None, None]:
        raise CameraError("refused")
        yield


class Announcing:
    """A camera that says when its last picture was taken."""

    live = False

    def __init__(self, count: int, *, at_the_end: Callable[[], None]) -> None:
        self._count = count
        self._at_the_end = at_the_end

    def pictures(self) -> Generator[Picture, None, None]:
        for _ in range(self._count):
            yield Picture(jpeg(), 0)
        self._at_the_end()


class Buggy:
    """A camera with a bug."""

    live = False

    def pictures(self) -> Generator[Picture, None, None]:
        yield Picture(jpeg(), 0)
        raise ZeroDivisionError("a bug")


def test_every_frame_of_every_camera_reaches_the_bus_in_order(
    bus: MemoryBus, make_pipeline: MakePipeline, make_video: MakeVideo, make_directory: MakeDirectory
) -> None:
    cameras = {"gate": camera(make_video(frames=30)), "yard": camera(make_directory(frames=20))}

    summary = make_pipeline(cameras, MemoryProducer(bus)).run(threading.Event())

    frames = on_the_bus(bus)
    assert {camera_id: len(seen) for camera_id, seen in frames.items()} == {"gate": 30, "yard": 20}
    for seen in frames.values():
        assert [frame.sequence for frame in seen] == [str(number) for number in range(1, len(seen) + 1)]
        assert len({frame.frame_id for frame in seen}) == len(seen)
    assert [frame.data for frame in frames["yard"]] == [jpeg(seed=number) for number in range(20)]
    assert {decode(frame.data, 10_000).shape for frame in frames["gate"]} == {(48, 64, 3)}
    assert summary.as_json() == {
        "published": 50,
        "dropped": 0,
        "skipped": 0,
        "cameras": {
            "gate": {"published": 30, "dropped": 0, "skipped": 0, "failure": None},
            "yard": {"published": 20, "dropped": 0, "skipped": 0, "failure": None},
        },
    }


def test_a_loop_ends_after_so_many_frames_of_each_camera(
    bus: MemoryBus, make_pipeline: MakePipeline, make_video: MakeVideo, make_directory: MakeDirectory
) -> None:
    cameras = {"gate": camera(make_video(frames=3)), "yard": camera(make_directory(frames=2))}

    make_pipeline(cameras, MemoryProducer(bus), loop=True, max_frames=7).run(threading.Event())

    assert {camera_id: len(seen) for camera_id, seen in on_the_bus(bus).items()} == {"gate": 7, "yard": 7}


def test_a_loop_runs_until_it_is_told_to_stop_and_delivers_what_it_read(
    bus: MemoryBus, make_pipeline: MakePipeline, make_directory: MakeDirectory
) -> None:
    stop = threading.Event()

    class StopAfter(MemoryProducer):
        def poll(self, timeout_s: float) -> None:
            super().poll(timeout_s)
            if sum(len(seen) for seen in on_the_bus(bus).values()) >= 25:
                stop.set()

    cameras = {"gate": camera(make_directory(frames=10), fps=500)}

    summary = make_pipeline(cameras, StopAfter(bus), loop=True).run(stop)

    assert summary.published == len(on_the_bus(bus)["gate"]) >= 25
    assert summary.dropped == 0


def test_a_camera_that_fails_is_logged_and_the_others_go_on(
    bus: MemoryBus, make_pipeline: MakePipeline, make_video: MakeVideo, tmp_path: Path
) -> None:
    cameras = {"gone": camera(tmp_path / "gone.mp4"), "gate": camera(make_video(frames=5))}

    with capture_logs() as lines:
        summary = make_pipeline(cameras, MemoryProducer(bus)).run(threading.Event())

    assert summary.published == len(on_the_bus(bus)["gate"]) == 5
    (failed,) = (line for line in lines if line["event"] == "camera failed")
    assert (failed["camera"], failed["log_level"]) == ("gone", "error")
    assert str(tmp_path / "gone.mp4") in failed["error"]
    assert summary.failures == {"gone": failed["error"]}


def test_a_bug_in_a_camera_ends_the_run(
    bus: MemoryBus, make_pipeline: MakePipeline, make_directory: MakeDirectory
) -> None:
    cameras = {"gate": camera(make_directory(), fps=20), "buggy": Buggy()}

    with pytest.raises(ZeroDivisionError):
        make_pipeline(cameras, MemoryProducer(bus), loop=True).run(threading.Event())


def test_a_camera_that_hangs_is_logged_and_holds_up_neither_the_others_nor_the_end(
    bus: MemoryBus,
    make_pipeline: MakePipeline,
    make_directory: MakeDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera_set_module, "_SILENCE_S", 0.05)
    monkeypatch.setattr(pipeline_module, "_CAMERA_PATIENCE_S", 0.1)
    stop, hanging = threading.Event(), Hanging()

    class StopAtFifty(MemoryProducer):
        def poll(self, timeout_s: float) -> None:
            super().poll(timeout_s)
            if len(on_the_bus(bus).get("gate", [])) == 50:
                stop.set()

    cameras = {
        "hanging": hanging,
        "refused": Refused(),
        "gate": camera(make_directory(frames=50), fps=200),
    }
    with capture_logs() as lines:
        summary = make_pipeline(cameras, StopAtFifty(bus)).run(stop)
    hanging.released.set()

    assert {camera_id: seen.published for camera_id, seen in summary.cameras.items()} == {
        "hanging": 1,
        "refused": 0,
        "gate": 50,
    }
    silent = [line["camera"] for line in lines if line["event"] == "camera gives no pictures"]
    assert silent.count("hanging") == 1
    # Of this one the log told already.
    assert "refused" not in silent


def test_while_the_broker_is_away_few_frames_are_held_and_all_are_accounted_for(
    make_pipeline: MakePipeline, make_directory: MakeDirectory, registry: CollectorRegistry
) -> None:
    broker = DistantBroker()
    cameras = {"gate": camera(make_directory("gate", frames=50)), "yard": camera(make_directory("yard"))}

    summary = make_pipeline(
        cameras, broker, loop=True, max_frames=200, max_buffer_frames=20, drain_timeout_s=0.3
    ).run(threading.Event())

    def dropped(reason: str) -> float:
        return sum(
            registry.get_sample_value(
                "framebus_unpublished_frames_total", {"camera": camera_id, "reason": reason}
            )
            or 0
            for camera_id in cameras
        )

    assert broker.most_held <= 32
    assert (summary.published, summary.dropped) == (0, 400)
    assert dropped("buffer_full") >= 400 - 20 - 32
    assert dropped("buffer_full") + dropped("stopped") == 400


def test_when_the_broker_comes_back_the_newest_frames_go_out(make_pipeline: MakePipeline) -> None:
    broker = DistantBroker()
    cameras = {"gate": Announcing(200, at_the_end=broker.come_back)}

    summary = make_pipeline(cameras, broker, max_buffer_frames=20).run(threading.Event())

    sequences = [int(dict(record.headers)["ce_sequence"] or 0) for record in broker.acknowledged]
    assert sequences == sorted(set(sequences))
    assert sequences[-20:] == list(range(181, 201))
    assert summary.published == len(sequences) <= 20 + 32
    assert summary.published + summary.dropped == 200


def test_a_bus_that_refuses_for_good_ends_the_run_and_the_cameras(
    make_pipeline: MakePipeline, make_directory: MakeDirectory
) -> None:
    broker = DistantBroker()
    broker.refuse_for_good("wrong password")
    cameras = {"gate": camera(make_directory(), fps=20)}

    with pytest.raises(TransportError, match="wrong password"):
        make_pipeline(cameras, broker, loop=True).run(threading.Event())

    assert broker.closed


def test_a_stop_before_the_start_opens_no_camera(
    bus: MemoryBus, make_pipeline: MakePipeline, tmp_path: Path
) -> None:
    stop = threading.Event()
    stop.set()

    summary = make_pipeline({"gone": camera(tmp_path / "gone.mp4")}, MemoryProducer(bus)).run(stop)

    assert summary.as_json()["cameras"] == {
        "gone": {"published": 0, "dropped": 0, "skipped": 0, "failure": None}
    }

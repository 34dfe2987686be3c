import threading
from collections.abc import Generator, Sequence

from structlog.testing import capture_logs

from framebus.bus.memory import MemoryBus, MemoryProducer
from framebus.errors import SettingsError
from producer.camera_spec import CameraSpec
from producer.cameras.camera import Picture
from tests.pictures import jpeg
from tests.unit.producer.conftest import MakePipeline, on_the_bus, spec


class Steady:
    """A camera that gives a picture every 5 ms, for ever."""

    live = False

    def pictures(self) -> Generator[Picture, None, None]:
        while True:
            yield Picture(jpeg(), 0.005)


class OnceThereAreFrames:
    """Gives other cameras when there are ten frames of one camera, and a stop when there are ten of another.

    Args:
        bus: Where the frames come out.
        camera_id: The camera of the first ten frames.
        cameras: What is given then, or the error that is raised.
        last_camera_id: The camera of the last ten frames, counted from then on.
    """

    def __init__(
        self,
        bus: MemoryBus,
        camera_id: str,
        cameras: Sequence[CameraSpec] | SettingsError,
        last_camera_id: str,
    ) -> None:
        self.stop = threading.Event()
        self._bus = bus
        self._camera_id = camera_id
        self._cameras: Sequence[CameraSpec] | SettingsError | None = cameras
        self._last_camera_id = last_camera_id
        self._enough = 10

    def __call__(self) -> Sequence[CameraSpec] | None:
        frames = on_the_bus(self._bus)
        if self._cameras is None:
            if len(frames.get(self._last_camera_id, [])) >= self._enough:
                self.stop.set()
            return None
        if len(frames.get(self._camera_id, [])) < self._enough:
            return None
        cameras, self._cameras = self._cameras, None
        self._enough += len(frames.get(self._last_camera_id, []))
        if isinstance(cameras, SettingsError):
            raise cameras
        return cameras


def test_cameras_are_replaced_while_the_unchanged_go_on(bus: MemoryBus, make_pipeline: MakePipeline) -> None:
    reread = OnceThereAreFrames(bus, "yard", [spec("gate"), spec("roof")], "roof")
    cameras = {camera_id: Steady() for camera_id in ("gate", "yard", "roof")}

    pipeline = make_pipeline(cameras, MemoryProducer(bus), at_start=["gate", "yard"], reread=reread)
    with capture_logs():
        summary = pipeline.run(reread.stop)

    frames = on_the_bus(bus)
    assert summary.dropped == 0
    assert {camera_id: seen.published for camera_id, seen in summary.cameras.items()} == {
        camera_id: len(seen) for camera_id, seen in frames.items()
    }
    assert len(frames["gate"]) > len(frames["yard"]) >= 10
    for seen in frames.values():
        assert [frame.sequence for frame in seen] == [str(number) for number in range(1, len(seen) + 1)]


def test_wrong_cameras_are_told_of_and_change_nothing(bus: MemoryBus, make_pipeline: MakePipeline) -> None:
    reread = OnceThereAreFrames(bus, "gate", SettingsError("cameras.yaml: camera 'gate': fps"), "gate")

    pipeline = make_pipeline({"gate": Steady()}, MemoryProducer(bus), reread=reread)
    with capture_logs() as lines:
        pipeline.run(reread.stop)

    frames = on_the_bus(bus)["gate"]
    assert [frame.sequence for frame in frames] == [str(number) for number in range(1, len(frames) + 1)]
    (told,) = (line for line in lines if line["log_level"] == "error")
    assert told["event"] == "the cameras stay as they are"
    assert told["error"] == "cameras.yaml: camera 'gate': fps"

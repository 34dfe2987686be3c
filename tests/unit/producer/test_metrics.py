from collections.abc import Generator

from prometheus_client import CollectorRegistry

from framebus.errors import CameraError
from producer.camera_reader import CameraReader
from producer.camera_spec import CameraSpec
from producer.cameras.camera import Picture
from producer.encoder import Encoder
from producer.metrics import ProducerMetrics
from tests.pictures import jpeg


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Failing:
    live = False

    def pictures(self) -> Generator[Picture, None, None]:
        yield Picture(jpeg(), 0)
        raise CameraError("no signal")


def failed_reader(camera_id: str, clock: Clock) -> CameraReader:
    reader = CameraReader(
        CameraSpec(id=camera_id, source="given"),
        Failing(),
        encoder=Encoder(jpeg_quality=90, fit=None, max_pixels=10_000),
        accept=lambda _: None,
        skipped=lambda *_: None,
        clock=clock,
    )
    reader.run()
    return reader


def test_silence_is_that_at_the_moment_of_the_scrape(registry: CollectorRegistry) -> None:
    clock = Clock()
    ProducerMetrics(registry, 10).watch([failed_reader("gate", clock)])

    clock.now_s += 42

    assert registry.get_sample_value("framebus_camera_silence_seconds", {"camera": "gate"}) == 42
    assert registry.get_sample_value("framebus_camera_connected", {"camera": "gate"}) == 0
    assert registry.get_sample_value("framebus_camera_reconnects_total", {"camera": "gate"}) == 0


def test_cameras_without_a_name_of_their_own_show_the_worst_of_them(registry: CollectorRegistry) -> None:
    clock, cameras = Clock(), list[CameraReader]()
    ProducerMetrics(registry, 1).watch(cameras)
    for camera_id in ("gate", "yard", "roof"):
        cameras.append(failed_reader(camera_id, clock))
        clock.now_s += 10

    assert registry.get_sample_value("framebus_camera_silence_seconds", {"camera": "gate"}) == 30
    assert registry.get_sample_value("framebus_camera_silence_seconds", {"camera": "other"}) == 20


def test_a_camera_that_is_removed_leaves_no_series(registry: CollectorRegistry) -> None:
    cameras = [failed_reader("gate", Clock())]
    ProducerMetrics(registry, 10).watch(cameras)

    cameras.clear()

    assert registry.get_sample_value("framebus_camera_silence_seconds", {"camera": "gate"}) is None

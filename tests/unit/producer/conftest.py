from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest
from prometheus_client import CollectorRegistry

from framebus.bus import BusProducer, TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.frames import EncodedFrame, Image
from framebus.settings import ProducerSettings, Settings
from framebus.wire import decode_frame
from producer.camera_spec import CameraSpec
from producer.cameras.camera import Camera
from producer.metrics import ProducerMetrics
from producer.pipeline import Pipeline, Reread
from tests.pictures import jpeg, picture

MakeVideo = Callable[..., Path]
MakeDirectory = Callable[..., Path]
MakePipeline = Callable[..., Pipeline]


def spec(camera_id: str, **changes: Any) -> CameraSpec:
    """The camera that is called as its source among those which a test gives to its pipeline."""
    return CameraSpec(id=camera_id, **({"source": camera_id} | changes))


def on_the_bus(bus: MemoryBus) -> dict[str, list[EncodedFrame]]:
    """Every frame that was published, by camera, in the order of the bus."""
    frames: dict[str, list[EncodedFrame]] = {}
    for record in bus.read(dict.fromkeys(bus.partitions_of("frames"), 0), 10_000, 0):
        frame = decode_frame(record)
        frames.setdefault(frame.camera_id, []).append(frame)
    return frames


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    def make(name: str = "video.avi", *, frames: int = 5, fps: float = 100, of: Image | None = None) -> Path:
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
        for number in range(frames):
            writer.write(cv2.cvtColor(picture(seed=number) if of is None else of, cv2.COLOR_RGB2BGR))
        writer.release()
        return path

    return make


@pytest.fixture
def make_directory(tmp_path: Path) -> MakeDirectory:
    def make(name: str = "pictures", *, frames: int = 5) -> Path:
        path = tmp_path / name
        path.mkdir()
        for number in range(frames):
            (path / f"{number:03}.jpg").write_bytes(jpeg(seed=number))
        return path

    return make


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ProducerMetrics:
    return ProducerMetrics(registry, max_cameras=10)


@pytest.fixture
def bus() -> MemoryBus:
    memory = MemoryBus()
    memory.create_topics([TopicSpec("frames", 4, 1, {})])
    return memory


@pytest.fixture
def make_pipeline(metrics: ProducerMetrics) -> MakePipeline:
    def make(
        cameras: Mapping[str, Camera],
        producer: BusProducer,
        *,
        loop: bool = False,
        max_frames: int | None = None,
        reread: Reread = lambda: None,
        at_start: Sequence[str] | None = None,
        **limits: float,
    ) -> Pipeline:
        return Pipeline(
            settings=Settings(producer=ProducerSettings.model_validate(limits)),
            cameras=[spec(camera_id, loop=loop) for camera_id in at_start or cameras],
            producer=producer,
            metrics=metrics,
            max_frames=max_frames,
            reread=reread,
            create=lambda camera, _: cameras[camera.source],
        )

    return make

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from prometheus_client import CollectorRegistry

from framebus.bus import TopicSpec
from framebus.bus.memory import MemoryBus
from framebus.frames import Image
from producer.metrics import ProducerMetrics
from tests.pictures import jpeg, picture

MakeVideo = Callable[..., Path]
MakeDirectory = Callable[..., Path]


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

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from framebus.bus import Record, TopicSpec
from framebus.bus.kafka import KafkaAdmin, KafkaReader
from framebus.cli.bench.footage import read_footage
from framebus.cli.bench.steady_cameras import SteadyCameras
from framebus.environment import load_settings
from framebus.frames import EncodedFrame
from framebus.local_broker import LocalBroker
from framebus.settings import Settings
from framebus.wire import decode_frame
from tests.kafka import kafka_settings, unique

FPS = 100.0
FRAMES = 60


@pytest.fixture
def settings(tansu: LocalBroker) -> Settings:
    return load_settings().model_copy(update={"kafka": kafka_settings(tansu)})


@pytest.fixture
def cameras(settings: Settings, street: Path) -> Iterator[SteadyCameras]:
    cameras = SteadyCameras(settings, street)
    yield cameras
    cameras.end()


def frames_of(settings: Settings, cameras: SteadyCameras, topic: str, number: int) -> list[EncodedFrame]:
    """Publishes from so many cameras until a number of frames can be read, and reads all."""
    KafkaAdmin(settings.kafka).create_topics([TopicSpec(topic, 4, 1, {})])
    records: list[Record] = []
    with closing(KafkaReader(settings.kafka)) as reader:
        reader.follow([topic], from_start=True)
        cameras.begin(topic, number, FPS)
        while len(records) < FRAMES:
            records += reader.poll(FRAMES, 0.1)
        cameras.end()
        while len(records) < cameras.published():
            records += reader.poll(FRAMES, 0.1)
    return sorted(map(decode_frame, records), key=lambda frame: int(frame.frame_id))


def test_cameras_take_turns_at_a_constant_rate(
    settings: Settings, cameras: SteadyCameras, street: Path
) -> None:
    frames = frames_of(settings, cameras, unique("frames"), 7)

    assert len(frames) == cameras.published()
    assert [frame.camera_id for frame in frames] == [f"cam-{number % 7}" for number in range(len(frames))]
    jpegs = read_footage(street).jpegs
    assert [frame.data for frame in frames[:10]] == jpegs[:10]
    assert all(early.captured_at <= late.captured_at for early, late in pairwise(frames))
    # However late one of them is, those behind it are not; none is ever early.
    took_s = (frames[-1].captured_at - frames[0].captured_at).total_seconds()
    assert took_s >= (len(frames) - 1) / FPS - 0.1


def test_a_load_begins_anew(settings: Settings, cameras: SteadyCameras) -> None:
    frames_of(settings, cameras, unique("frames"), 7)

    frames = frames_of(settings, cameras, unique("frames"), 2)

    assert [int(frame.frame_id) for frame in frames] == list(range(len(frames)))
    assert Counter(frame.camera_id for frame in frames).keys() == {"cam-0", "cam-1"}

import threading
from collections import defaultdict
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from framebus.errors import CameraError
from framebus.frames import EncodedFrame
from producer.camera_reader import CameraReader
from producer.camera_set import CameraSet
from producer.camera_spec import CameraSpec
from producer.cameras.camera import Picture
from producer.encoder import Encoder
from tests.pictures import jpeg

TIMEOUT_S = 5


class Cameras:
    """Cameras that give a picture every millisecond, and what became of them.

    Attributes:
        opened: The ids of the cameras that were opened, one for each time.
        closed: The ids of the cameras that were closed again.
        failing: Ids of cameras that cannot be opened.
    """

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.failing: set[str] = set()
        self._sequences: defaultdict[str, list[int]] = defaultdict(list)
        self._changed = threading.Condition()

    def reader(self, spec: CameraSpec) -> CameraReader:
        return CameraReader(
            spec,
            Steady(self, spec.id),
            encoder=Encoder(jpeg_quality=90, fit=None, max_pixels=10_000),
            accept=self._accept,
            skipped=lambda *_: None,
        )

    def _accept(self, frame: EncodedFrame) -> None:
        with self._changed:
            self._sequences[frame.camera_id].append(int(frame.sequence or 0))
            self._changed.notify_all()

    def frames_of(self, camera_id: str) -> list[int]:
        """Waits for three more frames of the camera, and returns the sequences of all so far."""
        sequences = self._sequences[camera_id]
        with self._changed:
            enough = len(sequences) + 3
            assert self._changed.wait_for(lambda: len(sequences) >= enough, TIMEOUT_S)
            return list(sequences)


class Steady:
    """One of these cameras."""

    live = False

    def __init__(self, cameras: Cameras, camera_id: str) -> None:
        self._cameras = cameras
        self._camera_id = camera_id

    def pictures(self) -> Generator[Picture, None, None]:
        self._cameras.opened.append(self._camera_id)
        if self._camera_id in self._cameras.failing:
            raise CameraError("no signal")
        try:
            while True:
                yield Picture(jpeg(), 0.001)
        finally:
            self._cameras.closed.append(self._camera_id)


def spec(camera_id: str, **changes: Any) -> CameraSpec:
    return CameraSpec(id=camera_id, **({"source": "given"} | changes))


@pytest.fixture
def cameras() -> Cameras:
    return Cameras()


@pytest.fixture
def camera_set(cameras: Cameras) -> Iterator[CameraSet]:
    camera_set = CameraSet(cameras.reader)
    with capture_logs():
        yield camera_set
        camera_set.stop()
        wait_for("camera-")


def wait_for(threads: str) -> None:
    """Waits for the cameras that come to their end."""
    for thread in threading.enumerate():
        if thread.name.startswith(threads):
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


def test_a_camera_that_is_the_same_goes_on_untouched(cameras: Cameras, camera_set: CameraSet) -> None:
    camera_set.replace([spec("gate"), spec("yard")])
    cameras.frames_of("gate")

    camera_set.replace([spec("roof"), spec("gate")])

    sequences = cameras.frames_of("gate")
    assert sequences == list(range(1, len(sequences) + 1))
    assert cameras.opened.count("gate") == 1


def test_a_new_camera_starts_and_one_that_is_gone_ends(cameras: Cameras, camera_set: CameraSet) -> None:
    camera_set.replace([spec("gate"), spec("yard")])
    cameras.frames_of("yard")

    with capture_logs() as lines:
        camera_set.replace([spec("gate"), spec("roof")])

    cameras.frames_of("roof")
    wait_for("camera-yard")
    assert cameras.closed == ["yard"]
    assert [reader.spec.id for reader in camera_set] == ["gate", "roof"]
    events = [(line["event"], line["camera"]) for line in lines]
    assert ("camera removed", "yard") in events
    assert ("camera started", "roof") in events


@pytest.mark.parametrize(
    "change", [{"source": "other"}, {"max_fps": 1000}, {"resize": "64x48"}, {"model": "ssd"}, {"loop": True}]
)
def test_a_camera_that_changed_starts_anew_after_its_last_frame(
    cameras: Cameras, camera_set: CameraSet, change: dict[str, Any]
) -> None:
    camera_set.replace([spec("gate")])
    cameras.frames_of("gate")

    camera_set.replace([spec("gate", **change)])

    sequences = cameras.frames_of("gate")
    start = sequences.index(1, 1)
    assert sequences == [*range(1, start + 1), *range(1, len(sequences) - start + 1)]
    assert [reader.spec for reader in camera_set] == [spec("gate", **change)]


def test_a_camera_that_failed_gets_another_try(cameras: Cameras, camera_set: CameraSet) -> None:
    cameras.failing = {"yard"}
    camera_set.replace([spec("gate"), spec("yard")])
    wait_for("camera-yard")
    cameras.failing = set()

    camera_set.replace([spec("gate"), spec("yard")])

    assert cameras.frames_of("yard")[0] == 1
    assert (cameras.opened.count("yard"), cameras.opened.count("gate")) == (2, 1)


def test_a_stopped_set_gives_no_frame_any_more(cameras: Cameras, camera_set: CameraSet) -> None:
    camera_set.replace([spec("gate"), spec("yard")])
    cameras.frames_of("gate")
    assert camera_set.running

    camera_set.stop()

    wait_for("camera-")
    assert not camera_set.running
    assert not camera_set.open
    assert sorted(cameras.closed) == ["gate", "yard"]


def test_a_camera_that_failed_is_named_until_it_is_there_or_removed(
    cameras: Cameras, camera_set: CameraSet
) -> None:
    cameras.failing = {"gate", "yard", "door"}
    camera_set.replace([spec("gate"), spec("yard"), spec("door"), spec("roof")])
    for camera_id in cameras.failing:
        wait_for(f"camera-{camera_id}")
    assert camera_set.failures == dict.fromkeys(("gate", "yard", "door"), "no signal")

    cameras.failing = {"gate"}
    camera_set.replace([spec("gate"), spec("yard"), spec("roof")])
    wait_for("camera-gate")

    cameras.frames_of("yard")
    assert camera_set.failures == {"gate": "no signal"}

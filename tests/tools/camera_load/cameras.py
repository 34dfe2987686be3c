"""The cameras that are played: 32 of them, from 64x64 to 4K, with real pictures, encoded beforehand."""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from framebus.frames import Image
from framebus.samples import fetch, lacking, read_samples
from framebus.settings import Settings

FAST_CAMERA = "cam-fast"
FAST_RATE = 10
"""How many frames the fast camera publishes for each of another camera's."""

_PICTURES_PER_CAMERA = 6
_JPEG_QUALITY = 90
_JITTER = 0.1
_Size = tuple[int, int]

_QUIET_CAMERAS: Sequence[tuple[int, str, Sequence[_Size]]] = (
    (3, "jpeg", [(64, 64)]),
    (1, "png", [(64, 64)]),
    (3, "jpeg", [(320, 240)]),
    (1, "grey", [(320, 240)]),
    (1, "webp", [(320, 240)]),
    (3, "jpeg", [(640, 272)]),
    (1, "grey", [(640, 272)]),
    (1, "jpeg", [(640, 272), (1280, 720)]),
    (4, "jpeg", [(768, 576)]),
    (1, "png", [(768, 576)]),
    (4, "jpeg", [(1280, 720)]),
    (1, "webp", [(1280, 720)]),
    (4, "jpeg", [(1920, 1080)]),
    (1, "grey", [(1920, 1080)]),
    (2, "jpeg", [(3840, 2160)]),
)
"""How many cameras, of which kind, and the sizes that they change between."""
_FAST_CAMERA_PICTURES = ("jpeg", [(768, 576)])


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that is played.

    Attributes:
        camera_id: Its key on the bus.
        kind: What it publishes, in words.
        pictures: Complete image files, published in turn.
        rate: Frames per frame of a quiet camera.
    """

    camera_id: str
    kind: str
    pictures: Sequence[bytes]
    rate: int


def play_cameras(settings: Settings) -> list[Camera]:
    """Encodes the pictures of all cameras, out of the sample videos that can be had here."""
    samples = [sample for sample in read_samples().values() if sample.kind == "video" and not lacking(sample)]
    if not samples:
        raise SystemExit("no sample video can be fetched here; `framebus models fetch videos` says why")
    videos = [_read_images(fetch(sample, settings)) for sample in samples]
    cameras = [_camera(FAST_CAMERA, *_FAST_CAMERA_PICTURES, videos[0], rate=FAST_RATE)]
    for count, kind, sizes in _QUIET_CAMERAS:
        for _ in range(count):
            number = len(cameras)
            cameras.append(_camera(f"cam-{number:02}", kind, sizes, videos[number % len(videos)], rate=1))
    return cameras


def schedule(cameras: Sequence[Camera], frames_per_s: float) -> Iterator[tuple[float, Camera]]:
    """Gives every frame's time in seconds from the start, and its camera, without end.

    Cameras are not in step: their phases are random, and so are their intervals, by a tenth. The same in
    every run.
    """
    chance = random.Random(0)
    total_rate = sum(camera.rate for camera in cameras)
    pending = []
    for number, camera in enumerate(cameras):
        period_s = total_rate / (frames_per_s * camera.rate)
        pending.append((chance.random() * period_s, number, period_s))
    heapq.heapify(pending)
    while True:
        at_s, number, period_s = pending[0]
        yield at_s, cameras[number]
        interval_s = period_s * chance.uniform(1 - _JITTER, 1 + _JITTER)
        heapq.heapreplace(pending, (at_s + interval_s, number, period_s))


def _read_images(video: Path) -> list[Image]:
    """Pictures from all over a video, RGB."""
    capture = cv2.VideoCapture(str(video))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    images = []
    for number in range(_PICTURES_PER_CAMERA):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number * count // _PICTURES_PER_CAMERA)
        decoded, frame = capture.read()
        if not decoded:
            raise SystemExit(f"{video}: frame {number * count // _PICTURES_PER_CAMERA} cannot be read")
        images.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    capture.release()
    return images


def _camera(camera_id: str, kind: str, sizes: Sequence[_Size], images: Sequence[Image], rate: int) -> Camera:
    pictures = [_encode(image, kind, sizes[number % len(sizes)]) for number, image in enumerate(images)]
    described = " and ".join(f"{width}x{height}" for width, height in sizes)
    return Camera(camera_id, f"{described} {kind}", pictures, rate)


def _encode(image: Image, kind: str, size: _Size) -> bytes:
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    colours = cv2.COLOR_RGB2GRAY if kind == "grey" else cv2.COLOR_RGB2BGR
    suffix, options = {
        "png": (".png", []),
        "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, _JPEG_QUALITY]),
    }.get(kind, (".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]))
    taken, data = cv2.imencode(suffix, cv2.cvtColor(scaled, colours), options)
    assert taken
    return data.tobytes()

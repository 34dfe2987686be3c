"""Cameras that are played by a stock client, which knows what the broker acknowledged."""

import io
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Self

import cv2
import numpy as np
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError
from PIL import Image

from framebus.images import encode_jpeg
from framebus.samples import fetch, read_samples
from framebus.settings import Settings
from tests.pictures import jpeg
from tests.tools.camera_load.reading import PublishedFrame

CAMERAS = 24
IsDue = Callable[[int], bool]
"""Whether the frame of this running number is to be published now."""

_STREET_PICTURES = 160
_LOOK_INTERVAL_S = 0.005
_FLUSH_TIMEOUT_S = 60.0


def steadily(frames_per_s: float) -> IsDue:
    """So many per second, from now on."""
    began_s = time.monotonic()
    return lambda number: time.monotonic() >= began_s + number / frames_per_s


def ahead_of(finished: Callable[[], int], frames: int) -> IsDue:
    """As fast as they are finished, and so many ahead."""
    return lambda number: number < finished() + frames


class Publisher(threading.Thread):
    """Publishes the frames of `CAMERAS` cameras in turn, until stopped; ended with its `with`.

    Args:
        servers: Where the broker is.
        topic: The topic of the frames.
        pictures: Complete JPEG files, published in turn.
        is_due: The pace.
    """

    def __init__(self, servers: str, topic: str, pictures: Sequence[bytes], is_due: IsDue) -> None:
        super().__init__(name="publisher", daemon=True)
        self._producer = KafkaProducer(
            bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=5
        )
        self._topic = topic
        self._pictures = [(picture, *Image.open(io.BytesIO(picture)).size) for picture in pictures]
        self._is_due = is_due
        self._failure: BaseException | None = None
        self._is_over = threading.Event()
        self._number = 0
        self.frames: list[PublishedFrame] = []
        """What the broker acknowledged."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()
        with suppress(KafkaTimeoutError):  # what `finish` did not wait for is given up
            self._producer.close(timeout=1)

    def run(self) -> None:
        """Publishes until told to stop."""
        try:
            while not self._is_over.wait(_LOOK_INTERVAL_S):
                while not self._is_over.is_set() and self._is_due(self._number):
                    self._publish()
        except BaseException as error:
            self._failure = error

    def finish(self) -> None:
        """Stops, and returns when the broker has acknowledged everything.

        Raises:
            RuntimeError: Some frames could not be published.
        """
        self._is_over.set()
        self.join()
        self._producer.flush(_FLUSH_TIMEOUT_S)
        if self._failure is not None or len(self.frames) < self._number:
            raise RuntimeError(
                f"of {self._number} frames {len(self.frames)} could be published"
            ) from self._failure

    def _publish(self) -> None:
        camera, captured_at = f"cam-{self._number % CAMERAS:02}", datetime.now(UTC)
        picture, width, height = self._pictures[self._number % len(self._pictures)]
        headers = {
            "content-type": "image/jpeg",
            "ce_specversion": "1.0",
            "ce_type": "io.framebus.frame.v1",
            "ce_source": f"/cameras/{camera}",
            "ce_id": str(self._number),
            "ce_time": captured_at.isoformat(),
        }

        def acknowledged(frame_id: str, record: Any) -> None:
            position = (record.topic, record.partition, record.offset)
            captured_ms = captured_at.timestamp() * 1000
            self.frames.append(PublishedFrame(position, camera, frame_id, captured_ms, width, height))

        self._producer.send(
            self._topic,
            picture,
            key=camera.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        ).add_callback(acknowledged, headers["ce_id"])
        self._number += 1


def publish_backlog(
    servers: str, topic: str, pictures: Sequence[bytes], frames: int
) -> Sequence[PublishedFrame]:
    """Publishes so many frames at once; returns what the broker acknowledged."""
    with Publisher(servers, topic, pictures, lambda number: number < frames) as publisher:
        while len(publisher.frames) < frames and publisher.is_alive():
            time.sleep(_LOOK_INTERVAL_S)
        publisher.finish()
        return publisher.frames


def small_pictures() -> list[bytes]:
    """Pictures that cost little, where it is not they that are tried."""
    return [jpeg(160, 120, seed) for seed in range(8)]


def street_pictures(settings: Settings) -> list[bytes]:
    """Frames of a real video, 640x272, as a camera would publish them."""
    capture = cv2.VideoCapture(str(fetch(read_samples()["street"], settings)))
    pictures: list[bytes] = []
    while len(pictures) < _STREET_PICTURES and (decoded := capture.read())[0]:
        pictures.append(encode_jpeg(np.asarray(cv2.cvtColor(decoded[1], cv2.COLOR_BGR2RGB), np.uint8)))
    capture.release()
    return pictures

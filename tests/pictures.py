"""Pictures and records that tests are made of."""

import cv2
import numpy as np

from framebus.bus import Headers, Partition, Record
from framebus.frames import Image
from framebus.images import encode_jpeg


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image:
    """A smooth picture, so that JPEG changes it little; equal for equal arguments."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def jpeg(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    """The same as a JPEG file."""
    return encode_jpeg(picture(width, height, seed))


def record(
    value: bytes | None = None,
    *,
    key: bytes | None = b"cam-1",
    headers: Headers = (),
    partition: int = 0,
    offset: int = 0,
    timestamp_ms: int = 1_700_000_000_000,
) -> Record:
    """A record of the topic `frames`."""
    return Record(
        Partition("frames", partition),
        offset,
        timestamp_ms,
        key,
        jpeg() if value is None else value,
        headers,
    )

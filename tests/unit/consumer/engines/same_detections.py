"""Compares what two engines find in a picture."""

import numpy as np
from numpy.typing import NDArray

from framebus.detections import Detections

CERTAIN_SCORE = 0.31
SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE = 1e-3  # as a part of the picture's sides


def assert_same(found: Detections, wanted: Detections) -> None:
    """What one engine finds for certain, the other finds too, once, with the same class, score and box."""
    assert (found.width, found.height) == (wanted.width, wanted.height)
    for some, others in ((found, wanted), (wanted, found)):
        free = np.ones(len(others), bool)
        sides = np.array([some.width, some.height] * 2)
        for box, score, class_id in zip(some.boxes, some.scores, some.class_ids, strict=True):
            if score > CERTAIN_SCORE:
                twins = np.flatnonzero(
                    free
                    & (others.class_ids == class_id)
                    & (np.abs(others.scores - score) <= SCORE_TOLERANCE)
                    & (np.abs((others.boxes - box) / sides).max(axis=1, initial=0) <= BOX_TOLERANCE)
                )
                assert twins.size, f"only one of the two finds {class_id} at {box}, {score}"
                free[twins[0]] = False


def certain(found: Detections) -> int:
    """How many detections are far enough above the threshold that both must have them."""
    return int((found.scores > CERTAIN_SCORE).sum())


def draw(height: int, width: int, seed: int = 0, most: int = 256) -> NDArray[np.uint8]:
    """Draws a picture with edges at every scale and noise: uint8 (height, width, 3), below `most`."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, most, (height, width, 3), np.uint8)
    for side in np.geomspace(max(height, width), 2, 40).astype(int):
        top, left = random.integers(-side // 2, height), random.integers(-side // 2, width)
        rows, columns = (slice(max(0, start), max(0, start + side)) for start in (top, left))
        picture[rows, columns] = random.integers(0, most, 3)
    return picture

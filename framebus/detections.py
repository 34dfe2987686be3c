"""What an engine found in one picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Which detections count.

    Attributes:
        confidence: Lowest score that is kept, in percent (0..100); a score equal to it is kept.
        predictions: At most this many detections are kept, best first.
    """

    confidence: float
    predictions: int


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects found in one picture, best first.

    Attributes:
        boxes: float32 (n, 4): left, top, right, bottom in pixels of the original image, clipped to it.
        scores: float32 (n,), 0..1, descending.
        class_ids: int32 (n,).
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    width: int
    height: int

    def __post_init__(self) -> None:
        n = len(self.scores)
        for name, array, shape, dtype in (
            ("boxes", self.boxes, (n, 4), np.float32),
            ("scores", self.scores, (n,), np.float32),
            ("class_ids", self.class_ids, (n,), np.int32),
        ):
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, wanted {np.dtype(dtype)} {shape}")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def from_normalised(
        cls,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        classes: NDArray[np.float32],
        *,
        width: int,
        height: int,
    ) -> "Detections":
        """Takes the outputs of a TensorFlow Object Detection API graph for one picture.

        Args:
            boxes: (n, 4): ymin, xmin, ymax, xmax as shares of the picture's height and width.
            scores: (n,), 0..1, in any order.
            classes: (n,), whole numbers as floats.
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
        """
        best_first = np.argsort(-scores, kind="stable")
        ymin, xmin, ymax, xmax = boxes[best_first].astype(np.float32).reshape(-1, 4).T
        pixels = np.stack(
            [
                np.clip(xmin * width, 0, width),
                np.clip(ymin * height, 0, height),
                np.clip(xmax * width, 0, width),
                np.clip(ymax * height, 0, height),
            ],
            axis=1,
        )
        return cls(
            boxes=pixels.astype(np.float32),
            scores=scores[best_first].astype(np.float32),
            class_ids=np.rint(classes[best_first]).astype(np.int32),
            width=width,
            height=height,
        )

    def keep(self, thresholds: Thresholds) -> "Detections":
        """Returns the detections that pass: score in percent at least `confidence`, at most `predictions`."""
        # In float32, as the scores are: 0.7 is 0.69999999 there, and must still pass 70 %.
        passing = np.flatnonzero(self.scores >= np.float32(thresholds.confidence / 100))
        kept = passing[: thresholds.predictions]
        return Detections(self.boxes[kept], self.scores[kept], self.class_ids[kept], self.width, self.height)


def label_of(class_id: int, labels: Mapping[int, str]) -> str:
    """Names a class; one that the label map lacks is named by its id and shifts no other."""
    return labels.get(class_id, str(class_id))

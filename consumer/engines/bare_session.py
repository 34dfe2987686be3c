"""Nothing but TensorFlow: the session that engines and the pipeline are measured against."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.frozen_graph import INPUT, OUTPUTS, read_frozen_graph
from framebus.errors import ModelError
from framebus.frames import Image

_PROBE_SIZE = (576, 768)


class BareSession:
    """A session of its own with default options, and no check of what it returns.

    Args:
        graph: File of a frozen detection graph.

    Raises:
        ModelError: It cannot be loaded or run; names the file and the remedy.
    """

    def __init__(self, graph: Path) -> None:
        frozen = read_frozen_graph(graph)
        self._picture_size = frozen.picture_size
        self._outputs = [f"{name}:0" for name in OUTPUTS]
        self._session = tf.Session(graph=frozen.graph)
        try:
            self._probe(1)
            self.takes_batches = not frozen.single and self._runs_batches()
        except tf.errors.OpError as error:
            self.close()
            raise ModelError(
                f"{graph}: TensorFlow cannot run it: {type(error).__name__}; see `framebus models check`"
            ) from error

    def fitted(self, image: Image) -> Image:
        """Resizes a picture for a graph that takes pictures of one size only; any other gets it as it is."""
        if self._picture_size is None or image.shape[:2] == self._picture_size:
            return image
        height, width = self._picture_size
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)

    def run(self, batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Calls `session.run` once, or for each picture if the graph takes one at a time.

        Args:
            batch: uint8 (n, height, width, 3), RGB.

        Returns:
            Boxes (n, m, 4), scores (n, m), classes (n, m) and how many of m are detections (n,); of the last
            picture only, if the graph takes one at a time.
        """
        step = len(batch) if self.takes_batches else 1
        outputs: list[NDArray[Any]] = []
        for start in range(0, len(batch), step):
            outputs = self._session.run(self._outputs, {f"{INPUT}:0": batch[start : start + step]})
        return outputs

    def close(self) -> None:
        """Closes the session and frees its memory."""
        self._session.close()

    def _runs_batches(self) -> bool:
        """Whether it is so cannot be read from the graph: some exports have a batch of 1 deep inside."""
        try:
            return self._probe(2) == 2
        except tf.errors.InvalidArgumentError:
            return False

    def _probe(self, count: int) -> int:
        """Runs so many pictures, and returns of how many there are results."""
        pictures = np.zeros((count, *(self._picture_size or _PROBE_SIZE), 3), np.uint8)
        boxes, *_ = self._session.run(self._outputs, {f"{INPUT}:0": pictures})
        return len(boxes)

"""A detection graph in three parts: its own first and last, or their equals, around a network run elsewhere.

What can be done faster than the graph does it is done so only after it gave the same results as the graph.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.bilinear import MAX_SIDE, Bilinear
from consumer.engines.frozen_graph import INPUT, OUTPUTS, FrozenGraph
from consumer.engines.graph_cut import CutRefusedError, cut_graph, described, network_graph
from consumer.engines.ssd_postprocessing import NotRecognisedError, SsdPostprocessing
from consumer.engines.tensorflow_detection import check_shapes, count_of, resized
from framebus.frames import Image

Heads = Sequence[NDArray[np.float32]]
"""What the network makes of one picture, each (1, ...), in the order of `GraphParts.heads`."""
Found = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Of one picture: boxes (n, 4) as ymin, xmin, ymax, xmax, normalised; scores (n,); classes (n,)."""

# Of pixels, in 0..255: what is off by no more is the same picture.
_SAME_PIXEL = 1e-3
# Of heads, whose values are some units large; float32 sums differ by about 1e-5.
_SAME_HEAD = 2e-3
_SAME_SCORE = 2e-3
_SAME_BOX = 2e-3
# So many detections per picture are compared. Of the rest, a difference in the last digit may decide which
# suppresses which.
_BEST = 10
# With the higher one, the last part is the faster one that was recognised.
_LEAST_SCORES = (0.0, 0.3)
# Of several aspects, one of them smaller than most networks take.
_CHECK_SIZES = ((576, 768), (405, 270), (90, 160))
_ODD_SHAPES = ((1, 1, 3), (1, 4096, 3), (4096, 1, 3))


class Network(Protocol):
    """Runs the middle part; may be called by several threads at once."""

    def __call__(self, picture: NDArray[np.float32]) -> Heads:
        """Takes the resized picture, (height, width, 3).

        Returns:
            One array per head; they stay until the thread's next call.
        """
        ...


class GraphParts:
    """Knows how to make the network's input of a picture, and detections of what the network made.

    Args:
        frozen: The whole graph.
        session: Opened on it; stays the caller's.

    Attributes:
        network: The middle part, as a graph of its own with one placeholder.
        picture_shape: Of the network's input: (height, width, 3).
        heads: Names of the tensors that the network returns.
        is_before_decoding: Boxes are decoded after the network, by exact arithmetic.

    Raises:
        CutRefusedError: The graph cannot be cut.
    """

    def __init__(self, frozen: FrozenGraph, session: tf.Session) -> None:
        cut = cut_graph(frozen.graph)
        self._frozen = frozen
        self._session = session
        self.heads = [tensor.name for tensor in cut.heads]
        self.is_before_decoding = cut.is_before_decoding
        self._resize_in_graph: Callable[[Image], NDArray[np.float32]] = session.make_callable(
            cut.start, [f"{INPUT}:0"]
        )
        self._checks = [(picture, self._whole(picture)) for picture in _drawn_pictures()]

        starts = [self._resize_in_graph(self._batch(picture)) for picture, _ in self._checks]
        self.picture_shape = tuple(map(int, starts[0].shape[1:]))
        if any(start.shape != (1, *self.picture_shape) for start in starts) or len(self.picture_shape) != 3:
            raise CutRefusedError("its pictures are not all resized to one size")
        self.network = network_graph(cut, (1, *self.picture_shape))
        self._feed_context(cut.context)
        self._resize = self._recognised_resizing(cut.resize, starts)
        self._postprocess, self._not_recognised = self._recognised_postprocessing()
        self._described = described(cut.network)

    def describe(self) -> dict[str, str]:
        """Says in words what each part is, and what runs it."""
        resizing = "TensorFlow" if self._resize is None else "OpenCV"
        height, width, _ = self.picture_shape
        last = "numpy" if self._not_recognised is None else f"TensorFlow: {self._not_recognised}"
        return {
            "first part": f"resizes to {width}x{height}, by {resizing}",
            "network": f"{self._described}; ends with {', '.join(self.heads)}",
            "last part": f"decodes and suppresses boxes, by {last}",
        }

    def prepare(self, image: Image) -> NDArray[np.float32]:
        """Makes the network's input of a picture: float32 `picture_shape`."""
        image = resized(image, self._frozen.picture_size)
        if self._resize is None or max(image.shape) > MAX_SIDE:
            return np.asarray(self._resize_in_graph(image[np.newaxis])[0])
        return self._resize(image)

    def finish(self, heads: Heads, least_score: float) -> Found:
        """Makes detections of what the network made of a picture, all those with at least that score."""
        found = None if self._postprocess is None else self._postprocess(heads, least_score)
        if found is None:
            found = _found(self._run_last_part(*heads, *self._context.values()))
        return found

    def check(self, network: Network) -> dict[str, float]:
        """Compares with the whole graph on drawn pictures; returns the largest differences.

        Raises:
            CutRefusedError: They are too large.
        """
        for picture, (heads, _) in self._checks:
            for name, ours, theirs in zip(self.heads, network(self.prepare(picture)), heads, strict=True):
                if ours.shape != theirs.shape:
                    raise CutRefusedError(f"{name} has the shape {ours.shape} instead of {theirs.shape}")
                with np.errstate(invalid="ignore", over="ignore"):  # what is infinite is off
                    off = float(np.abs(ours - theirs).max())
                if not off <= _SAME_HEAD * max(1.0, float(np.abs(theirs).max())):
                    raise CutRefusedError(f"{name} is off by {off:.2g}")
        deviations = self.deviations(network, apart=_SAME_BOX)
        if deviations["score"] > _SAME_SCORE:
            raise CutRefusedError(f"scores are off by {deviations['score']:.2g}")
        return deviations

    def deviations(self, network: Network, *, apart: float) -> dict[str, float]:
        """The largest differences in score and box, among what both find best.

        Args:
            network: The middle part.
            apart: Boxes of one class that lie farther apart are two objects; for an object that one side
                alone finds, its whole score counts.
        """
        pairs: list[tuple[float, float, float]] = []
        for picture, (_, whole) in self._checks:
            heads = network(self.prepare(picture))
            for least_score in _LEAST_SCORES:
                pairs += _pairs(self.finish(heads, least_score), whole, apart, least_score)
        return {
            "score": max((abs(ours - theirs) for ours, theirs, _ in pairs), default=0.0),
            "box": max((off for _, _, off in pairs), default=0.0),
        }

    def _batch(self, picture: Image) -> NDArray[np.uint8]:
        return resized(picture, self._frozen.picture_size)[np.newaxis]

    def _whole(self, picture: Image) -> tuple[Heads, Found]:
        names = [*self.heads, *(f"{name}:0" for name in OUTPUTS)]
        values = self._session.run(names, {f"{INPUT}:0": self._batch(picture)})
        count = len(self.heads)
        return values[:count], _found(values[count:])

    def _feed_context(self, context: Sequence[tf.Tensor]) -> None:
        """Has the last part run on the heads, if all else that it needs is the same for all pictures."""
        pictures = [picture for picture, _ in self._checks]
        pictures += [np.zeros(shape, np.uint8) for shape in _ODD_SHAPES]
        values = [
            self._session.run(list(context), {f"{INPUT}:0": self._batch(picture)}) for picture in pictures
        ]
        for tensor, first, *others in zip(context, *values, strict=True):
            if not all(np.array_equal(first, other) for other in others):
                raise CutRefusedError(
                    f"what follows the network depends on {tensor.name}, which pictures differ in"
                )
        feeds = [*self.heads, *(tensor.name for tensor in context)]
        outputs = [f"{name}:0" for name in OUTPUTS]
        run: Callable[..., list[NDArray[Any]]] = self._session.make_callable(outputs, feeds)
        self._context = dict(zip((tensor.name for tensor in context), values[0], strict=True))
        self._run_last_part = run

    def _recognised_resizing(
        self, operation: tf.Operation | None, starts: Sequence[NDArray[np.float32]]
    ) -> Bilinear | None:
        height, width, channels = self.picture_shape
        if operation is None or channels != 3:
            return None
        resize = Bilinear(
            height, width, operation.get_attr("align_corners"), operation.get_attr("half_pixel_centers")
        )
        for (picture, _), start in zip(self._checks, starts, strict=True):
            if np.abs(resize(self._batch(picture)[0]) - start[0]).max() > _SAME_PIXEL:
                return None
        return resize

    def _recognised_postprocessing(self) -> tuple[SsdPostprocessing | None, str | None]:
        def run(names: Sequence[str], heads: Heads) -> list[NDArray[Any]]:
            feeds = dict(zip(self.heads, heads, strict=True)) | self._context
            values: list[NDArray[Any]] = self._session.run(list(names), feeds)
            return values

        samples = [heads for _, (heads, _) in self._checks]
        try:
            return SsdPostprocessing.recognise(self._frozen.graph, self.heads, run, samples), None
        except NotRecognisedError as error:
            return None, str(error)


def _found(outputs: Sequence[NDArray[Any]]) -> Found:
    """Takes a graph's outputs for one picture: the first rows are detections, the rest is padding."""
    check_shapes(outputs, pictures=1)
    boxes, scores, classes, counts = outputs
    count = count_of(counts[0], scores.shape[1])
    return boxes[0, :count], scores[0, :count], classes[0, :count]


def _pairs(
    ours: Found, theirs: Found, apart: float, least_score: float
) -> Iterator[tuple[float, float, float]]:
    """For the best of either side: its score there, here, and how far apart the boxes are."""
    for some, others in ((ours, theirs), (theirs, ours)):
        boxes, scores, classes = others
        for box, score, kind in zip(*(output[:_BEST] for output in some), strict=True):
            off = np.abs(boxes - box).max(axis=1, initial=0.0)
            same = np.flatnonzero((classes == kind) & (off <= apart))
            if len(same):
                nearest = same[off[same].argmin()]
                yield float(score), float(scores[nearest]), float(off[nearest])
            elif score > least_score + _SAME_SCORE:
                yield float(score), 0.0, 0.0


def _drawn_pictures() -> list[Image]:
    """Pictures of two sizes with edges at every scale, and noise: uint8 (H, W, 3), always the same."""
    pictures = []
    for seed, (height, width) in enumerate(_CHECK_SIZES):
        random = np.random.default_rng(seed)
        picture = random.integers(100, 156, (height, width, 3), np.uint8)
        for side in np.geomspace(height, 8, 60).astype(int):
            top, left = random.integers(-side // 2, height), random.integers(-side // 2, width)
            rows, columns = (slice(max(0, start), max(0, start + side)) for start in (top, left))
            picture[rows, columns] //= 2
            picture[rows, columns] += random.integers(0, 128, 3, np.uint8)
        pictures.append(picture)
    return pictures

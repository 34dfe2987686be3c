"""Post-processing of single-stage detection graphs, of the kinds that exporters make, without their networks.

Its heads are placeholders, so a test decides what there is to be found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.frozen_graph import OUTPUTS
from consumer.engines.ssd_arithmetic import Floats
from consumer.engines.ssd_postprocessing import SsdPostprocessing

HEADS = ("codes:0", "logits:0")
ANCHORS = 300


@dataclass(frozen=True)
class SsdGraph:
    """What kinds differ in.

    Attributes:
        columns: Logits per anchor.
        background: The column without a class, if any.
        convert: Logits to scores.
        decode: Codes and anchors (centre y, centre x, height, width) to boxes.
        clip_first: Boxes are clipped before they are compared.
        drop_empty: Boxes without area in the picture go when they are clipped.
        places: How far from each other classes are moved, to be suppressed all at once; None: one by one.
        suppress: Takes boxes, scores and how many to keep; returns which are kept.
        most_per_class: Kept per class.
        most: Kept in all.
        finish: Changes the boxes at the end.
        rank: Of the head of codes.
    """

    name: str
    columns: int = 4
    background: int | None = 0
    convert: Callable[[tf.Tensor], tf.Tensor] = tf.sigmoid
    decode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = field(default=lambda *both: decoded(*both))
    clip_first: bool = False
    drop_empty: bool = True
    places: float | None = None
    suppress: Callable[..., tf.Tensor] = field(default=lambda *all_of_it: suppressed(*all_of_it))
    most_per_class: int = 60
    most: int = 100
    finish: Callable[[tf.Tensor], tf.Tensor] = tf.identity
    rank: int = 4


def decoded(codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Boxes by centre and size, relative to anchors."""
    y, x, height, width = tf.unstack(codes / [10.0, 10.0, 5.0, 5.0], axis=1)
    centre_y, centre_x, anchor_height, anchor_width = tf.unstack(anchors, axis=1)
    y, x = y * anchor_height + centre_y, x * anchor_width + centre_x
    height, width = tf.exp(height) * anchor_height / 2.0, tf.exp(width) * anchor_width / 2.0
    return tf.stack([y - height, x - width, y + height, x + width], axis=1)


def suppressed(boxes: tf.Tensor, scores: tf.Tensor, most: int) -> tf.Tensor:
    """The usual suppression."""
    return tf.image.non_max_suppression(boxes, scores, tf.minimum(most, tf.size(scores)), 0.6, 1e-8)


def anchors() -> Floats:
    """Returns anchors of all sizes, (ANCHORS, 4)."""
    random = np.random.default_rng(7)
    return np.concatenate(
        [random.uniform(0, 1, (ANCHORS, 2)), random.uniform(0.05, 0.8, (ANCHORS, 2))], axis=1
    ).astype(np.float32)


def build(kind: SsdGraph) -> tf.Graph:
    """Builds the graph of one picture."""
    with tf.Graph().as_default() as graph:
        middle = [1] if kind.rank == 4 else []
        codes = tf.placeholder(tf.float32, [1, ANCHORS, *middle, 4], name="codes")
        logits = tf.placeholder(tf.float32, [1, ANCHORS, kind.columns], name="logits")
        boxes = kind.decode(tf.reshape(codes, [-1, 4]), tf.constant(anchors()))
        scores = kind.convert(logits)[0]
        columns = [column for column in range(kind.columns) if column != kind.background]
        scores = tf.gather(scores, columns, axis=1)
        if kind.clip_first:
            boxes, scores = _clipped_first(kind, boxes, scores)
        found = (
            _class_by_class(kind, boxes, scores) if kind.places is None else _at_places(kind, boxes, scores)
        )
        boxes, scores, classes = found
        if not kind.clip_first:
            boxes = tf.clip_by_value(boxes, 0.0, 1.0)
            if kind.drop_empty:
                there = tf.where(_areas(boxes) > 0)[:, 0]
                boxes, scores, classes = (tf.gather(values, there) for values in (boxes, scores, classes))
        boxes, scores, classes = (values[: kind.most] for values in (kind.finish(boxes), scores, classes))
        results = (boxes, scores, tf.cast(classes, tf.float32) + 1.0, tf.cast(tf.size(scores), tf.float32))
        for name, result in zip(OUTPUTS, results, strict=True):
            tf.expand_dims(result, 0, name=name)
    return graph


def _clipped_first(kind: SsdGraph, boxes: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    there = tf.cast(_areas(boxes) > 0, tf.float32)
    return boxes, scores * there[:, tf.newaxis] if kind.drop_empty else scores


def _areas(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _class_by_class(kind: SsdGraph, boxes: tf.Tensor, scores: tf.Tensor) -> list[tf.Tensor]:
    kept: list[list[tf.Tensor]] = [[], [], []]
    for number in range(scores.shape[1]):
        one = kind.suppress(boxes, scores[:, number], kind.most_per_class)
        found = tf.gather(boxes, one), tf.gather(scores[:, number], one), tf.fill(tf.shape(one), number)
        for all_of_them, values in zip(kept, found, strict=True):
            all_of_them.append(values)
    boxes, scores, classes = (tf.concat(values, 0) for values in kept)
    scores, best = tf.nn.top_k(scores, tf.size(scores))
    return [tf.gather(boxes, best), scores, tf.gather(classes, best)]


def _at_places(kind: SsdGraph, boxes: tf.Tensor, scores: tf.Tensor) -> list[tf.Tensor]:
    classes = int(scores.shape[1])
    scores, best = tf.nn.top_k(tf.reshape(scores, [-1]), min(300, ANCHORS * classes))
    boxes, numbers = tf.gather(boxes, best // classes), best % classes
    moved = boxes + tf.cast(numbers[:, tf.newaxis], tf.float32) * kind.places
    kept = kind.suppress(moved, scores, kind.most)
    return [tf.gather(boxes, kept), tf.gather(scores, kept), tf.gather(numbers, kept)]


class Runner:
    """Evaluates tensors of a graph, fed with heads and whatever else it needs."""

    def __init__(self, graph: tf.Graph, heads: Sequence[str], others: dict[str, Any] | None = None) -> None:
        self._session = tf.Session(graph=graph)
        self._heads = heads
        self._others = others or {}

    def __call__(self, names: Sequence[str], heads: Sequence[Floats]) -> list[NDArray[Any]]:
        feeds = dict(zip(self._heads, heads, strict=True)) | self._others
        values: list[NDArray[Any]] = self._session.run(list(names), feeds)
        return values

    def detections(self, heads: Sequence[Floats], least_score: float) -> tuple[Floats, Floats, Floats]:
        """What the graph itself finds: boxes, scores, classes."""
        boxes, scores, classes, found = self([f"{name}:0" for name in OUTPUTS], heads)
        there = np.flatnonzero(scores[0, : int(found[0])] >= least_score)
        return boxes[0, there], scores[0, there], classes[0, there]

    def close(self) -> None:
        self._session.close()


KINDS = (
    SsdGraph("usual"),
    SsdGraph("not_scaled", rank=3, convert=lambda logits: tf.sigmoid(logits * 0.5 - 2.0)),
    SsdGraph("softmax", columns=6, convert=tf.nn.softmax),
    SsdGraph("softmax_scaled", convert=lambda logits: tf.nn.softmax(logits / 3.0), clip_first=True),
    SsdGraph("background_last", columns=3, background=2, clip_first=True, drop_empty=False),
    SsdGraph("no_background", columns=2, background=None, drop_empty=False, most_per_class=30, most=20),
    SsdGraph("at_places", columns=30, clip_first=True, places=2.0),
    SsdGraph("one_class", columns=2, most_per_class=20, most=20),
    SsdGraph(
        "first_version",
        suppress=lambda boxes, scores, most: tf.raw_ops.NonMaxSuppressionV2(
            boxes=boxes, scores=scores, max_output_size=most, iou_threshold=0.45
        ),
    ),
)


def samples_of(columns: int, rank: int = 4, anchors: int = ANCHORS) -> list[list[Floats]]:
    """Heads of noise."""
    random = np.random.default_rng(11)
    middle = [1] if rank == 4 else []
    return [
        [
            random.normal(0, 1, [1, anchors, *middle, 4]).astype(np.float32),
            random.normal(-6, 3, [1, anchors, columns]).astype(np.float32),
        ]
        for _ in range(2)
    ]


class Recognised:
    """A graph, and what it was recognised as."""

    def __init__(
        self,
        graph: tf.Graph,
        heads: Sequence[str],
        samples: Sequence[Sequence[Floats]],
        others: dict[str, Any] | None = None,
    ) -> None:
        self.run = Runner(graph, heads, others)
        self.samples = samples
        self.postprocess = SsdPostprocessing.recognise(graph, heads, self.run, samples)

    def agrees(self, heads: Sequence[Floats], least_score: float) -> bool | None:
        """Whether both found the same; None if the graph has to be asked."""
        found = self.postprocess(heads, least_score)
        if found is None:
            return None
        assert [values.dtype for values in found] == [np.float32] * 3
        boxes, scores, classes = self.run.detections(heads, least_score)
        return (
            np.array_equal(found[2], classes)
            and np.allclose(found[1], scores, rtol=0, atol=1e-6)
            and np.allclose(found[0], boxes, rtol=0, atol=1e-6)
        )

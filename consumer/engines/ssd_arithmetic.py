"""What an SSD does with its network's outputs, in NumPy, for few candidates: decode, convert, suppress.

TensorFlow computes the same for every anchor, in float32 and with approximations of its own, so that results
differ in their last bits. Where those bits could decide (which of two boxes comes first, whether two overlap
too much), nothing is decided here: `None` is returned, and the caller asks the graph.

The formulas: object_detection/box_coders/faster_rcnn_box_coder.py and core/post_processing.py in
https://github.com/tensorflow/models/tree/master/research, and NonMaxSuppressionV3 of TensorFlow.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Numbers = NDArray[np.intp]
Flags = NDArray[np.bool_]

SCORE_ERROR = 5e-7
"""How far scores may lie apart and still be in either order; TensorFlow's sigmoid is off by up to 8e-8."""

BOX_ERROR = 1e-6
"""How far a corner may lie from where TensorFlow has it, for boxes about as large as the picture: float32 has
6e-8, and graphs that move each class to a place of its own, up to 10 away, round off 5e-7 there."""

FARTHEST = 8.0
"""Corners farther out, in sizes of the picture, are off by more than counts as the same box."""

AREA_ERROR = 1e-6
"""What float32 rounds off in an overlap, as a part of the two boxes' union."""

LANES = 16
"""TensorFlow computes up to so many values at once, and those that remain at a tensor's end one by one, with
another formula: there, even equal logits give scores that differ in their last bit."""

_ALL_EIGHT = np.ones(8, bool).view(np.uint64)[0]

MOST_CANDIDATES = 150
"""All pairs of candidates are compared: in 0.3 ms for 60 of them, 0.8 ms for 120. TensorFlow's time, 1.5 ms,
hardly depends on their number."""


@dataclass(frozen=True, slots=True)
class BoxCoder:
    """Where boxes are, from what the network says of them.

    Attributes:
        anchors: float32 (anchors, 4): centre y, centre x, height, width, normalised.
        scales: float32 (4,): what codes are divided by.
    """

    anchors: Floats
    scales: Floats

    def decode(self, codes: Floats, anchors: Floats) -> Floats:
        """Returns boxes (n, 4) as ymin, xmin, ymax, xmax, by the graph's own operations in their order."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = codes / self.scales
            centres = scaled[:, :2] * anchors[:, 2:] + anchors[:, :2]
            halves = np.exp(scaled[:, 2:]) * anchors[:, 2:] / np.float32(2)
            return np.concatenate([centres - halves, centres + halves], axis=1)


@dataclass(frozen=True, slots=True)
class ScoreConverter:
    """How sure the network is, from its logits.

    Attributes:
        softmax: Over an anchor's logits; else the sigmoid of each.
        scale: What logits are multiplied by first.
        offset: What is added then.
        background: The column that stands for no object; None if there is none, as there may with a sigmoid.
    """

    softmax: bool
    scale: float
    offset: float
    background: int | None

    def candidates(self, logits: Floats, least_score: float) -> Numbers:
        """Returns where in the flat logits (anchors, columns) a score may reach `least_score`, or be NaN.

        A softmax is bounded: beside a score p, the background has 1 - p at most.
        """
        least = (math.log(least_score / (1.0 - least_score)) - self.offset) / self.scale
        # Rounding is below this; scores are looked at again.
        least -= 1e-4 + 1e-5 * abs(least)
        limit = np.array([[least]], np.float32)
        if self.softmax:
            limit = np.nextafter(logits[:, self.background, np.newaxis] + limit, np.float32(-np.inf))
        flags = np.ones(-(-logits.size // 8) * 8, bool)
        below = flags[: logits.size].reshape(logits.shape)
        np.less(logits, limit, out=below)  # and not the other way round: a NaN is below nothing, and is found
        if self.background is not None:
            below[:, self.background] = True
        # Nearly all are below, so eight are looked at together.
        words = np.flatnonzero(flags.view(np.uint64) != _ALL_EIGHT)
        positions = (words[:, np.newaxis] * 8 + np.arange(8)).ravel()
        found: Numbers = positions[~flags[positions]]
        return found

    def convert(self, logits: Floats, candidates: Numbers) -> Doubles:
        """Returns the scores of candidates (n,)."""
        columns = logits.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            if not self.softmax:
                chosen = logits.ravel()[candidates].astype(np.float64)
                return 1.0 / (1.0 + np.exp(-(chosen * self.scale + self.offset)))
            rows = logits[candidates // columns].astype(np.float64) * self.scale
            chosen = np.take_along_axis(rows, (candidates % columns)[:, np.newaxis], axis=1)
            sums: Doubles = np.exp(rows - chosen).sum(axis=1)
            return 1.0 / sums

    def tied(self, logits: Floats, some: Numbers, others: Numbers) -> bool:
        """Whether candidates have, pair by pair, the same score to the last bit.

        With a softmax, only those of one class can be said to: sums depend on the order of what is added.
        """
        values, columns = logits.ravel(), logits.shape[1]
        if max(some.max(), others.max()) >= values.size - LANES:
            return False
        if self.softmax and not (
            np.array_equal(some % columns, others % columns)
            and np.array_equal(logits[some // columns], logits[others // columns])
        ):
            return False
        return np.array_equal(values[some], values[others])


@dataclass(frozen=True, slots=True)
class Suppression:
    """Which of overlapping boxes of a class are kept, best first, and in which order.

    Attributes:
        classes: float32 (columns,): what the graph calls the class of each column.
        overlap: Intersection over union; a box that overlaps a better one of its class more goes.
        least_score: Only scores above it are looked at.
        most_per_class: Boxes of a class that are kept, those without area included.
        most: Detections.
        most_candidates: For more candidates, this is not what the graph does.
        clip_first: Boxes are clipped to the picture before they are compared; else at the end.
        drop_empty: Boxes that have no area in the picture go when they are clipped.
        by_class: Of equal scores the lower class comes first, then the anchor; else the other way round. With
            a softmax, see `ScoreConverter.tied`, it does not matter.
    """

    classes: Floats
    overlap: float
    least_score: float
    most_per_class: int
    most: int
    most_candidates: int
    clip_first: bool
    drop_empty: bool
    by_class: bool

    def keep(self, boxes: Floats, columns: Numbers) -> Numbers | None:
        """Returns which boxes are left, by number; None if rounding would decide it.

        Args:
            boxes: (n, 4), best first, not clipped.
            columns: (n,): of which class they are.
        """
        farthest = float(np.abs(boxes).max(initial=1.0))
        error = BOX_ERROR * farthest
        inside = (np.minimum(boxes[:, 2:], 1) - np.maximum(boxes[:, :2], 0)).min(axis=1)
        if not farthest <= FARTHEST or (np.abs(inside) <= error).any():
            return None
        there = inside > 0
        excess, doubt = self._overlaps(np.clip(boxes, 0, 1) if self.clip_first else boxes, error)
        comparable = columns[:, np.newaxis] == columns
        gone = np.zeros(len(boxes), bool)
        if self.clip_first:
            comparable &= there & there[:, np.newaxis]  # what has no area overlaps nothing
            gone |= self.drop_empty & ~there
        kept = self._greedily(
            columns, gone, comparable & (excess > doubt), comparable & (abs(excess) <= doubt)
        )
        if kept is not None and self.drop_empty:
            kept = kept[there[kept]]
        return None if kept is None else kept[: self.most]

    def _greedily(self, columns: Numbers, gone: Flags, overlapping: Flags, doubtful: Flags) -> Numbers | None:
        unsure = np.zeros_like(gone)
        kept: list[int] = []
        counts = dict.fromkeys(columns.tolist(), 0)
        for number, column in enumerate(columns.tolist()):
            if gone[number] or counts[column] == self.most_per_class:
                continue
            if unsure[number]:
                return None
            kept.append(number)
            counts[column] += 1
            gone |= overlapping[number]
            unsure |= doubtful[number]
        return np.array(kept, np.intp)

    def _overlaps(self, boxes: Floats, error: float) -> tuple[Doubles, Doubles]:
        """By how much each pair's intersection exceeds what it may be, and how much that may be off."""
        corners = boxes.T.astype(np.float64)
        starts, ends = corners[:2], corners[2:]
        height, width = ends - starts
        areas, rims = height * width, height + width
        common = np.minimum(ends[:, :, np.newaxis], ends[:, np.newaxis])
        common -= np.maximum(starts[:, :, np.newaxis], starts[:, np.newaxis])
        np.maximum(common, 0, out=common)
        intersections = common[0] * common[1]
        unions = areas[:, np.newaxis] + areas - intersections
        # Corners that are off by e change an intersection by up to e times the sum of all four sides, and a
        # union by three times that.
        doubt = 4 * error * (rims[:, np.newaxis] + rims) + AREA_ERROR * unions
        return intersections - self.overlap * unions, doubt

"""Heads that are made up to tell kinds of post-processing from each other, and what the graph says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumer.engines.frozen_graph import OUTPUTS
from consumer.engines.ssd_arithmetic import (
    BOX_ERROR,
    LANES,
    BoxCoder,
    Doubles,
    Floats,
    Numbers,
    ScoreConverter,
)
from consumer.engines.ssd_recognition import Limits, Network, NotRecognisedError

PICTURES = "pictures"
"""The subject of trials that are not made up."""

SAME = 1e-6
"""How far a score or a side of a box may lie from the graph's."""

_LOUD, _QUIET = 40.0, -40.0
"""Logits of what is there for certain, and of what is not."""

_LEAST_SCORES = (0.3, 0.1, 0.02)
_CROWD = 120
_AT_ONCE = 8
_PAIRS = 64


@dataclass(frozen=True, slots=True)
class Trial:
    """What the graph finds in given heads.

    Attributes:
        subject: What it is about, in the plural.
        heads: Of one picture.
        least_score: What is less does not matter.
        boxes: As the graph returns them: (n, 4), without padding and what does not matter.
        scores: (n,).
        classes: (n,).
    """

    subject: str
    heads: Sequence[Floats]
    least_score: float
    boxes: Floats
    scores: Floats
    classes: Floats

    def agrees(self, boxes: Floats, scores: Floats, classes: Floats) -> bool:
        """Whether the same is found, in the same order."""
        return (
            np.array_equal(classes, self.classes)
            and np.allclose(scores, self.scores, rtol=0, atol=SAME)
            and np.allclose(boxes, self.boxes, rtol=0, atol=SAME)
        )


class Stage:
    """Makes heads that describe given boxes, and lets the graph look at them."""

    def __init__(self, network: Network, coder: BoxCoder, converter: ScoreConverter) -> None:
        self._network = network
        self._coder = coder
        self.converter = converter
        self._random = np.random.default_rng(2)
        # Equal scores at a tensor's end are not equal; see `ScoreConverter.tied`.
        self.most_boxes = network.anchors - -(-LANES // network.columns)
        self.columns = np.array([c for c in range(network.columns) if c != converter.background])

    def heads(self, boxes: Doubles, columns: Numbers, scores: Doubles) -> list[Floats]:
        """Returns heads with these boxes (n, 4), each with one score (n,) in its column, and nothing else."""
        chosen = self._random.permutation(self.most_boxes)[: len(boxes)]
        y, x, height, width = self._coder.anchors[chosen].astype(np.float64).T
        top, left, bottom, right = boxes.T
        shifts = [((top + bottom) / 2 - y) / height, ((left + right) / 2 - x) / width]
        stretches = [np.log((bottom - top) / height), np.log((right - left) / width)]
        codes = np.zeros((self._network.anchors, 4), np.float32)
        codes[chosen] = np.stack(shifts + stretches, axis=1) * self._coder.scales

        logits = np.full((self._network.anchors, self._network.columns), _QUIET)
        background = self.converter.background
        if background is not None:
            # With a sigmoid it does not matter how sure the background is; that is tried, too.
            logits[:, background] = _LOUD
            logits[chosen, background] = 0
        logits[chosen, columns] = np.log(scores / (1 - scores))
        raw = (logits - self.converter.offset) / self.converter.scale
        return self._network.arranged(codes, raw.astype(np.float32))

    def watch(self, subject: str, heads: Sequence[Floats], least_score: float) -> Trial:
        """Lets the graph look at heads of one picture."""
        names = [f"{name}:0" for name in OUTPUTS]
        boxes, scores, classes, found = (np.asarray(output)[0] for output in self._network.run(names, heads))
        there = np.flatnonzero(scores[: int(found)] >= least_score)
        return Trial(subject, heads, least_score, boxes[there], scores[there], classes[there])

    def show(
        self,
        subject: str,
        boxes: Doubles,
        columns: Numbers,
        scores: Doubles,
        least_score: float = 0.04,
    ) -> Trial:
        """Lets the graph look at boxes; of too many, only at the first."""
        part = slice(self.most_boxes)
        return self.watch(subject, self.heads(boxes[part], columns[part], scores[part]), least_score)

    def grid(self, count: int) -> Doubles:
        """Returns boxes side by side."""
        side = int(np.ceil(np.sqrt(count)))
        corners = np.stack(np.divmod(np.arange(count), side), axis=1) / side
        return np.concatenate([corners + 0.25 / side, corners + 0.75 / side], axis=1)


def find_classes(
    network: Network, coder: BoxCoder, converter: ScoreConverter
) -> tuple[ScoreConverter, Floats]:
    """Finds the column of the background, and what the graph calls the class of each other column.

    Raises:
        NotRecognisedError: There is no background, or not every other column is a class.
    """
    for background in dict.fromkeys([0, network.columns - 1, None]):
        known = replace(converter, background=background)
        stage = Stage(network, coder, known)
        nothing = stage.heads(np.empty((0, 4)), np.empty(0, np.intp), np.empty(0))
        if stage.columns.size and not stage.watch("", nothing, 1e-3).scores.size:
            break
    else:
        raise NotRecognisedError("none of its columns is the background")
    if known.softmax and background is None:
        raise NotRecognisedError("its softmax has no background")
    classes = np.full(network.columns, np.nan, np.float32)
    for start in range(0, len(stage.columns), _AT_ONCE):
        columns = stage.columns[start : start + _AT_ONCE]
        scores = np.linspace(0.9, 0.5, len(columns))
        seen = stage.show("", stage.grid(len(columns)), columns, scores)
        if seen.scores.shape != scores.shape or not np.allclose(seen.scores, scores, atol=SAME):
            raise NotRecognisedError("not every column of its logits is a class, with the score of its own")
        classes[columns] = seen.classes
    return known, classes


def count_most(stage: Stage) -> int:
    """Returns how many detections the graph gives at most."""
    count = stage.most_boxes
    columns = stage.columns[np.arange(count) % len(stage.columns)]
    return len(stage.show("", stage.grid(count), columns, np.linspace(0.9, 0.1, count)).scores)


def trials_of(stage: Stage, limits: Limits, samples: Sequence[Sequence[Floats]]) -> Iterator[Trial]:
    """Yields what tells kinds of post-processing apart, and then the pictures."""
    random = np.random.default_rng(3)

    count = min(_CROWD, limits.most_candidates)

    def crowd(margin: float) -> tuple[Doubles, Numbers]:
        """Boxes in heaps, some up to `margin` outside of the picture."""
        heaps = random.uniform(-margin, 1 + margin, (count // 8 + 1, 2))
        centres = heaps[random.integers(len(heaps), size=count)] + random.normal(0, 0.03, (count, 2))
        halves = random.uniform(0.04, 0.15, (count, 2))
        columns = random.choice(stage.columns, 3)[random.integers(3, size=count)]
        return np.concatenate([centres - halves, centres + halves], axis=1), columns

    for _ in range(6):
        yield stage.show("overlapping boxes", *crowd(0.0), random.uniform(0.05, 0.95, count))
        yield stage.show("boxes at the edge", *crowd(0.1), random.uniform(0.05, 0.95, count))
        boxes, columns = crowd(0.2)
        if stage.converter.softmax:  # whose ties are decided in one class only
            columns[:] = columns[0]
        yield stage.show("equal scores", boxes, columns, random.choice([0.2, 0.4, 0.6, 0.8], count))
    low = np.geomspace(5e-6, 0.9, 60)
    yield stage.show("low scores", stage.grid(60), random.choice(stage.columns, 60), low, 2e-6)
    yield from _floods(stage, limits, random)
    yield from _narrow_decisions(stage, limits, random)
    for heads in samples:
        for least_score in _LEAST_SCORES:
            yield stage.watch(PICTURES, heads, least_score)


def _floods(stage: Stage, limits: Limits, random: np.random.Generator) -> Iterator[Trial]:
    """More boxes of a class than are kept, with some of the best outside of the picture."""
    count = min(limits.most_candidates, stage.most_boxes)
    for outside in (0, 30):
        boxes = stage.grid(count)
        boxes[:outside] += 2
        for columns in (np.full(count, random.choice(stage.columns)), random.choice(stage.columns, count)):
            yield stage.show("many boxes", boxes, columns, np.linspace(0.9, 0.1, count))


def _narrow_decisions(stage: Stage, limits: Limits, random: np.random.Generator) -> Iterator[Trial]:
    """Pairs of boxes of each class that overlap by a little more or less than they may."""
    every = np.resize(stage.columns, max(len(stage.columns), _PAIRS))
    for start in range(0, len(every), _AT_ONCE):
        columns = every[start : start + _AT_ONCE].repeat(2)
        count = len(columns) // 2
        first = stage.grid(count) + random.uniform(-0.02, 0.02, (count, 4))
        widths = first[:, 3] - first[:, 1]
        # Of two boxes of a size that are moved apart by a part p of it, (1 - p) / (1 + p) is common.
        apart = widths * (1 - limits.overlap) / (1 + limits.overlap)
        apart += random.choice([-1.0, 1.0], count) * 16 * BOX_ERROR
        boxes = first.repeat(2, axis=0)
        boxes[1::2, 1::2] += apart[:, np.newaxis]
        yield stage.show(
            "boxes that overlap as much as they may", boxes, columns, np.linspace(0.9, 0.1, 2 * count)
        )

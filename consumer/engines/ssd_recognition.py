"""Finds the parts of a detection graph's post-processing: how it decodes boxes, converts scores, suppresses.

No name in the graph is relied on. Tensors are looked for that behave as decoded boxes or as scores do, and
the numbers are measured on them; only the thresholds of the suppression are read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.ssd_arithmetic import (
    BOX_ERROR,
    FARTHEST,
    MOST_CANDIDATES,
    SCORE_ERROR,
    BoxCoder,
    Doubles,
    Floats,
    ScoreConverter,
)

RunGraph = Callable[[Sequence[str], Sequence[Floats]], list[NDArray[Any]]]
"""Evaluates tensors of the graph by name, fed with the heads of one picture in the order of their names."""


_LOOPS = (
    "Enter",
    "Switch",
    "Merge",
    "TensorArray",
    "TensorList",
    "While",
    "StatelessWhile",
    "NonMaxSuppression",
)
"""How types of operations start behind which nothing is looked at: in loops, nothing can be evaluated."""


_LEAST_FIT = 30
"""Scores that a line is laid through."""


class NotRecognisedError(Exception):
    """The graph's post-processing is not that of an SSD, or a kind that is not known here."""


@dataclass(frozen=True, slots=True)
class Network:
    """The two tensors that the network ends with, as the graph takes them.

    Attributes:
        run: Evaluates the graph.
        heads: Their names.
        sample: Their values for one picture.
        codes_first: Whether the codes of boxes come first, then the logits.
    """

    graph: tf.Graph
    run: RunGraph
    heads: Sequence[str]
    sample: Sequence[Floats]
    codes_first: bool

    @property
    def anchors(self) -> int:
        """Boxes that the network describes."""
        return self.sample[not self.codes_first].size // 4

    @property
    def columns(self) -> int:
        """Logits per anchor."""
        return self.sample[self.codes_first].size // self.anchors

    def arranged(self, codes: Floats, logits: Floats) -> list[Floats]:
        """Returns heads of the graph's shapes; codes and logits may be the same for all anchors."""
        codes = np.broadcast_to(codes, (self.anchors, 4))
        logits = np.broadcast_to(logits, (self.anchors, self.columns))
        pair = (codes, logits) if self.codes_first else (logits, codes)
        return [
            np.array(values, np.float32).reshape(sample.shape)
            for values, sample in zip(pair, self.sample, strict=True)
        ]

    def behind(self, head: str, columns: int) -> Iterator[str]:
        """Yields tensors with a row per anchor that are computed from a head outside of any loop."""
        waiting, seen = [self.graph.get_tensor_by_name(head)], {head}
        while waiting:
            for operation in waiting.pop().consumers():
                if operation.type.startswith(_LOOPS):
                    continue
                for output in operation.outputs:
                    if output.name in seen:
                        continue
                    seen.add(output.name)
                    waiting.append(output)
                    if output.dtype == tf.float32 and output.shape.rank and output.shape[-1] == columns:
                        yield output.name


@dataclass(frozen=True, slots=True)
class Limits:
    """Constants of the suppression: see `Suppression`."""

    overlap: float
    least_score: float
    most_per_class: int
    most_candidates: int


def find_network(
    graph: tf.Graph, heads: Sequence[str], run: RunGraph, sample: Sequence[Floats]
) -> tuple[Network, BoxCoder]:
    """Tells which of the heads is which, and how boxes are decoded.

    Raises:
        NotRecognisedError: No tensor behind either head behaves as decoded boxes do.
    """
    if len(heads) != 2:
        raise NotRecognisedError(f"it has {len(heads)} heads, not codes of boxes and logits")
    for codes_first in (True, False):
        codes, logits = sample if codes_first else reversed(sample)
        if codes.shape[-1] != 4 or logits.size % (codes.size // 4):
            continue
        network = Network(graph, run, heads, sample, codes_first)
        if coder := _find_coder(network):
            return network, coder
    raise NotRecognisedError(
        "its boxes are coded in another way than by centre and size, relative to anchors"
    )


def _find_coder(network: Network) -> BoxCoder | None:
    names = list(network.behind(network.heads[not network.codes_first], 4))
    quiet = np.zeros(network.columns, np.float32)

    def values(codes: Any) -> list[NDArray[Any]]:
        # All at once: TensorFlow prepares a graph anew for each choice of tensors, for half a second.
        return network.run(names, network.arranged(np.asarray(codes, np.float32), quiet))

    for number, value in enumerate(values(np.zeros(4)) if names else []):
        if value.size != network.anchors * 4:
            continue

        def decode(codes: Any, number: int = number) -> Floats:
            return values(codes)[number].reshape(-1, 4)

        if coder := _measured(decode):
            return coder
    return None


def _measured(decode: Callable[[Any], Floats]) -> BoxCoder | None:
    """Returns the coder that does what `decode` does, if any."""
    with np.errstate(all="ignore"):
        centres, sizes = _centres_and_sizes(decode(np.zeros(4)))
        scales = np.empty(4, np.float32)
        for axis in range(4):
            moved_centres, moved_sizes = _centres_and_sizes(decode(np.eye(4)[axis] * 16))
            # Each anchor's corners are rounded; the middle of what all say is not.
            scales[axis] = np.median(
                16 * sizes[:, axis] / (moved_centres - centres)[:, axis]
                if axis < 2
                else 16 / np.log(moved_sizes[:, axis - 2] / sizes[:, axis - 2])
            )
        if not (np.isfinite(scales).all() and (scales > 0).all() and (sizes > 0).all()):
            return None
        # Without a size, both corners are the centre; far enough away, the centre is the shift alone.
        nothing, far = -1e4 * scales[2:], np.float32(2.0**40)
        anchors = np.concatenate(
            [
                decode(np.concatenate([np.zeros(2), nothing]))[:, :2],
                decode(np.concatenate([far * scales[:2], nothing]))[:, :2] / far,
            ],
            axis=1,
        )
        coder = BoxCoder(anchors.astype(np.float32), scales)
        random = np.random.default_rng(0).normal(0, 3, anchors.shape)
        random[::4] *= 8  # where some clip what others do not
        codes = random.astype(np.float32)
        boxes = decode(codes)
        reach = np.abs(boxes).max(axis=1, keepdims=True)
        # Of boxes out there, nothing depends on the last digits, and exponentials have fewer.
        allowed = BOX_ERROR * np.where(reach < FARTHEST, np.maximum(1, reach) / 2, 10 * reach)
        agrees = (np.abs(coder.decode(codes, coder.anchors) - boxes) <= allowed).all()
    return coder if agrees else None


def _centres_and_sizes(boxes: Floats) -> tuple[Doubles, Doubles]:
    corners = boxes.astype(np.float64)
    return (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]


def find_converter(network: Network) -> ScoreConverter:
    """Measures how logits become scores; the column of the background is not known yet.

    Raises:
        NotRecognisedError: It is neither a sigmoid nor a softmax, of logits scaled and shifted alike.
    """
    shape = (network.anchors, network.columns)
    logits = np.random.default_rng(1).normal(0, 4, shape).astype(np.float32)
    codes = network.sample[not network.codes_first].reshape(-1, 4)
    names = list(network.behind(network.heads[network.codes_first], network.columns))
    for value in network.run(names, network.arranged(codes, logits)) if names else []:
        if value.size != logits.size or not (value.min() >= 0 and value.max() <= 1):
            continue
        scores = value.reshape(shape).astype(np.float64)
        for softmax in (False, True):
            converter = _fitted(logits, scores, softmax)
            every = np.arange(logits.size)
            if (
                converter
                and np.abs(converter.convert(logits, every) - scores.ravel()).max() < SCORE_ERROR / 2
            ):
                return converter
    raise NotRecognisedError("its scores are neither the sigmoid nor the softmax of its logits")


def _fitted(logits: Floats, scores: Doubles, softmax: bool) -> ScoreConverter | None:
    telling = (scores > 1e-4) & (scores < 1 - 1e-4)  # near 0 and 1, rounding hides the logit
    if softmax:
        telling = telling[:, :-1] & telling[:, 1:]
    if telling.sum() < _LEAST_FIT:
        return None
    if softmax:
        ratios = np.log(scores[:, :-1][telling] / scores[:, 1:][telling])
        differences = (logits[:, :-1].astype(np.float64) - logits[:, 1:])[telling]
        scale, offset = float(ratios @ differences / (differences @ differences)), 0.0
    else:
        chances = scores[telling]
        odds = np.log(chances / (1 - chances))
        # The same rounding of a score moves its odds the more, the nearer it is to 0 or 1.
        weights = chances * (1 - chances)
        scale, offset = map(float, np.polyfit(logits[telling].astype(np.float64), odds, 1, w=weights))
    return ScoreConverter(softmax, scale, offset, None) if scale > 0 else None


def read_limits(graph: tf.Graph) -> Limits:
    """Reads the constants of the graph's suppression.

    Raises:
        NotRecognisedError: It has none, one of an unknown kind, or several that differ.
    """
    nodes = [node for node in graph.get_operations() if "NonMaxSuppression" in node.type]
    if not nodes or not {node.type for node in nodes} <= {"NonMaxSuppressionV2", "NonMaxSuppressionV3"}:
        kinds = ", ".join(sorted({node.type for node in nodes})) or "nothing"
        raise NotRecognisedError(f"its overlapping boxes are suppressed by {kinds}")
    constants = {tuple(_constant(value) for value in node.inputs[2:5]) for node in nodes}
    if len(constants) > 1:
        raise NotRecognisedError("its classes are suppressed each in another way")
    sorts = [node for node in _ancestors(nodes) if node.type.startswith("TopK")]
    most_candidates = min([MOST_CANDIDATES, *(int(_constant(node.inputs[1])) for node in sorts)])
    ((most_per_class, overlap, *least_score),) = constants  # the last came with version 3
    return Limits(overlap, least_score[0] if least_score else 0.0, int(most_per_class), most_candidates)


def _constant(tensor: tf.Tensor) -> float:
    """The value of a tensor that is constant, or the constant that it is at most."""
    operation = tensor.op
    if operation.type in ("Identity", "Enter", "Cast"):
        return _constant(operation.inputs[0])
    if operation.type == "Minimum":
        values = [tf.get_static_value(operand) for operand in operation.inputs]
        if known := [value for value in values if value is not None]:
            return float(min(known))
    if operation.type == "Const":
        return float(tf.get_static_value(tensor))
    raise NotRecognisedError(f"a limit of its suppression is computed by {operation.type}")


def _ancestors(operations: Sequence[tf.Operation]) -> set[tf.Operation]:
    found, waiting = set(operations), list(operations)
    while waiting:
        for tensor in waiting.pop().inputs:
            if tensor.op not in found:
                found.add(tensor.op)
                waiting.append(tensor.op)
    return found

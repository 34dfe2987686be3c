"""The post-processing of a single-stage detection graph, in NumPy: a tenth of the time that the graph takes.

It decides on the logits before anything is computed, so that only what may be detected is decoded, converted
and compared. What a graph does is recognised from its outputs, never from its names, and held against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import tensorflow.compat.v1 as tf

from consumer.engines.ssd_arithmetic import SCORE_ERROR, BoxCoder, Floats, ScoreConverter, Suppression
from consumer.engines.ssd_recognition import (
    NotRecognisedError,
    RunGraph,
    find_converter,
    find_network,
    read_limits,
)
from consumer.engines.ssd_trials import PICTURES, Stage, Trial, count_most, find_classes, trials_of

__all__ = ["NotRecognisedError", "RunGraph", "SsdPostprocessing"]

Found = tuple[Floats, Floats, Floats]

_LEAST_SCORE = 1e-6
"""Below it, single bits decide about a score."""


@dataclass(frozen=True, slots=True)
class SsdPostprocessing:
    """What a graph does after its network; for pictures one by one, from any thread.

    Attributes:
        coder: Codes to boxes.
        converter: Logits to scores.
        suppression: Which boxes are kept.
        codes_first: Whether the head with the codes of boxes is the first of the two.
    """

    coder: BoxCoder
    converter: ScoreConverter
    suppression: Suppression
    codes_first: bool

    @classmethod
    def recognise(
        cls, graph: tf.Graph, heads: Sequence[str], run: RunGraph, samples: Sequence[Sequence[Floats]]
    ) -> "SsdPostprocessing":
        """Finds out what the graph does by running it, and checks it against the graph.

        Args:
            graph: A detection graph.
            heads: Names of the two tensors that the network ends with: codes of boxes (1, anchors, 4) or
                (1, anchors, 1, 4), and logits (1, anchors, columns), in any order.
            run: Evaluates tensors of the graph from the heads of one picture.
            samples: Heads of pictures, one at least.

        Raises:
            NotRecognisedError: Says what it is that the graph does otherwise.
        """
        limits = read_limits(graph)
        try:
            network, coder = find_network(graph, heads, run, samples[0])
            converter, classes = find_classes(network, coder, find_converter(network))
            stage = Stage(network, coder, converter)
            most, trials = count_most(stage), list(trials_of(stage, limits, samples))
        except tf.errors.OpError as error:
            raise NotRecognisedError(f"it cannot be run from its heads on: {error.message}") from error
        # Ties of several classes are not decided with a softmax; with one class there are none.
        orders = [True] if converter.softmax or len(stage.columns) == 1 else [True, False]
        agreeing, reasons = [], set()
        for clip_first, drop_empty, by_class in product([True, False], [True, False], orders):
            suppression = Suppression(
                classes=classes,
                overlap=limits.overlap,
                least_score=limits.least_score,
                most_per_class=limits.most_per_class,
                most=most,
                most_candidates=limits.most_candidates,
                clip_first=clip_first,
                drop_empty=drop_empty,
                by_class=by_class,
            )
            tried = cls(coder, converter, suppression, network.codes_first)
            if reason := tried._disagreement(trials):
                reasons.add(reason)
            else:
                agreeing.append(tried)
        if not agreeing:
            raise NotRecognisedError(f"its suppression is of an unknown kind: {'; '.join(sorted(reasons))}")
        if len(agreeing) > 1:
            raise NotRecognisedError("its suppression may be of several kinds")
        return agreeing[0]

    def __call__(self, heads: Sequence[Floats], least_score: float) -> Found | None:
        """Finds the objects in one picture.

        Args:
            heads: As the network gives them, in the order that `recognise` was given their names.
            least_score: Detections below it are left out.

        Returns:
            Boxes float32 (n, 4) as ymin, xmin, ymax, xmax, normalised and clipped; scores float32 (n,),
            highest first; classes float32 (n,), all as the graph itself would give them. None where it would
            not pay, or where rounding decides: then run the graph's own.
        """
        least_score = max(least_score, self.suppression.least_score)
        if not _LEAST_SCORE <= least_score < 1:
            return None
        codes = heads[not self.codes_first].reshape(-1, 4)
        logits = heads[self.codes_first].reshape(len(codes), -1)
        candidates = self.converter.candidates(logits, least_score)
        if len(candidates) > self.suppression.most_candidates:
            return None
        scores = self.converter.convert(logits, candidates)
        # A NaN is not far from the least score either.
        if not (np.abs(scores - least_score) > SCORE_ERROR).all():
            return None
        anchors, columns = np.divmod(candidates, logits.shape[1])
        order = np.lexsort(
            (anchors, columns, -scores) if self.suppression.by_class else (candidates, -scores)
        )
        order = order[scores[order] >= least_score]
        candidates, anchors, columns, scores = (
            candidates[order],
            anchors[order],
            columns[order],
            scores[order],
        )
        close = np.flatnonzero(scores[:-1] - scores[1:] <= SCORE_ERROR)
        if close.size and not self.converter.tied(logits, candidates[close], candidates[close + 1]):
            return None
        boxes = self.coder.decode(codes[anchors], self.coder.anchors[anchors])
        kept = self.suppression.keep(boxes, columns)
        if kept is None:
            return None
        return (
            np.clip(boxes[kept], 0, 1),
            scores[kept].astype(np.float32),
            self.suppression.classes[columns[kept]],
        )

    def _disagreement(self, trials: Sequence[Trial]) -> str:
        """Returns what it is in which it differs from the graph; empty if in nothing."""
        decided: dict[str, list[bool]] = {}
        for trial in trials:
            found = self(trial.heads, trial.least_score)
            decided.setdefault(trial.subject, []).append(found is not None)
            if found is not None and not trial.agrees(*found):
                return f"{trial.subject} are treated otherwise"
        for subject, decisions in decided.items():
            # Pictures may hold nothing that can be told; what was made up to be told must be.
            if subject != PICTURES and sum(decisions) * 2 < len(decisions):
                return f"{subject} cannot be told"
        return ""

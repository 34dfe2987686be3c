"""Which post-processing is recognised as what, and which is refused."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from consumer.engines.ssd_postprocessing import NotRecognisedError, SsdPostprocessing
from tests import ssd_graphs
from tests.ssd_graphs import HEADS, KINDS, Recognised, Runner, SsdGraph, samples_of


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_the_kind_of_suppression_is_recognised(kind: SsdGraph) -> None:
    recognised = Recognised(ssd_graphs.build(kind), HEADS, samples_of(kind.columns, kind.rank))
    recognised.run.close()
    suppression = recognised.postprocess.suppression
    assert (suppression.clip_first, suppression.drop_empty) == (kind.clip_first, kind.drop_empty)
    assert suppression.by_class is (kind.places is None)
    assert suppression.most == min(kind.most, kind.most_per_class * (kind.columns - 1))
    np.testing.assert_allclose(recognised.postprocess.coder.anchors, ssd_graphs.anchors(), rtol=2e-7)


def softly(boxes: tf.Tensor, scores: tf.Tensor, most: int) -> tf.Tensor:
    return tf.image.non_max_suppression_with_scores(boxes, scores, most, 0.6, 1e-8, soft_nms_sigma=0.5)[0]


def no_suppression(boxes: tf.Tensor, scores: tf.Tensor, most: int) -> tf.Tensor:
    return tf.math.top_k(scores, most).indices


def fewer_than_it_says(boxes: tf.Tensor, scores: tf.Tensor, most: int) -> tf.Tensor:
    return ssd_graphs.suppressed(boxes, scores, most)[: most - 10]


def only_sure_ones(boxes: tf.Tensor, scores: tf.Tensor, most: int) -> tf.Tensor:
    return ssd_graphs.suppressed(boxes, tf.where(scores > 0.01, scores, tf.zeros_like(scores)), most)


def unlike_classes(boxes: tf.Tensor, scores: tf.Tensor, most: int) -> tf.Tensor:
    return tf.image.non_max_suppression(
        boxes, scores, most, len(tf.get_default_graph().get_operations()) / 1e4
    )


def corners(codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    starts = anchors[:, :2] - anchors[:, 2:] / 2.0
    return codes / 10.0 + tf.concat([starts, starts + anchors[:, 2:]], 1)


@pytest.mark.parametrize(
    ("strange", "reason"),
    [
        pytest.param(SsdGraph("s", suppress=softly), "suppressed by NonMaxSuppressionV5", id="softly"),
        pytest.param(SsdGraph("s", suppress=no_suppression), "suppressed by nothing", id="not suppressed"),
        pytest.param(SsdGraph("s", suppress=unlike_classes), "each in another way", id="unlike classes"),
        pytest.param(SsdGraph("s", suppress=fewer_than_it_says), "boxes are treated", id="fewer"),
        pytest.param(SsdGraph("s", suppress=only_sure_ones), "low scores are treated", id="only sure ones"),
        pytest.param(SsdGraph("s", places=0.0), "overlapping boxes are treated", id="all classes alike"),
        pytest.param(SsdGraph("s", places=50.0), "are treated otherwise", id="rounded off at far places"),
        pytest.param(SsdGraph("s", decode=corners), "coded in another way", id="corners"),
        pytest.param(SsdGraph("s", convert=tf.nn.softplus), "neither the sigmoid nor", id="softplus"),
        pytest.param(SsdGraph("s", convert=lambda x: tf.sigmoid(x) * 0.9), "score of its own", id="weighted"),
        pytest.param(
            SsdGraph("s", background=None, convert=tf.nn.softmax), "the background", id="no background"
        ),
        pytest.param(SsdGraph("s", finish=lambda boxes: boxes * 0.9), "treated otherwise", id="shrunk"),
    ],
)
def test_other_kinds_are_refused(strange: SsdGraph, reason: str) -> None:
    graph = ssd_graphs.build(strange)
    run = Runner(graph, HEADS)
    with pytest.raises(NotRecognisedError, match=reason):
        SsdPostprocessing.recognise(graph, HEADS, run, samples_of(4))
    run.close()


def test_heads_that_are_no_codes_and_logits_are_refused() -> None:
    graph = ssd_graphs.build(KINDS[0])
    run = Runner(graph, HEADS)
    codes, _ = samples_of(4)[0]
    with pytest.raises(NotRecognisedError, match="1 heads"):
        SsdPostprocessing.recognise(graph, HEADS[:1], run, [[codes]])
    run.close()


def test_heads_may_come_in_any_order() -> None:
    graph = ssd_graphs.build(KINDS[0])
    recognised = Recognised(graph, HEADS[::-1], [heads[::-1] for heads in samples_of(4)])
    assert not recognised.postprocess.codes_first
    assert all(recognised.agrees(heads, 0.3) for heads in recognised.samples)
    recognised.run.close()

"""The last parts of the graphs in `graph_variants`, by name: anchors, heads, scores, and suppression."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow.compat.v1 as tf

from tests.tools.detection_graphs import ASPECTS, MOST_DETECTIONS, OVERLAP, _anchors, _decode, _suppress

LOGIT_BIAS = -3.0

# Anchors (cells * cells * aspects, 4) of a layer with such features.


def _anchors_by_shape(features: tf.Tensor, side: float) -> tf.Tensor:
    shape = tf.shape(features)
    rows, columns = [
        (tf.cast(tf.range(cells), tf.float32) + 0.5) / tf.cast(cells, tf.float32)
        for cells in (shape[1], shape[2])
    ]
    y, x, aspect = tf.meshgrid(rows, columns, tf.constant(ASPECTS), indexing="ij")
    parts = [y, x, side / tf.sqrt(aspect), side * tf.sqrt(aspect)]
    return tf.stack([tf.reshape(part, [-1]) for part in parts], axis=1)


def _constant_anchors(features: tf.Tensor, side: float) -> tf.Tensor:
    return tf.constant(_anchors(int(features.shape[1]), side))


ANCHORS: Mapping[str, Callable[[tf.Tensor, float], tf.Tensor]] = {
    "constant": _constant_anchors,
    "by shape": _anchors_by_shape,
}


# From logits (n, anchors, classes + 1) to scores (n, anchors, classes).


@dataclass(frozen=True)
class Converter:
    """Makes scores of logits, and maybe of the pictures, float32 (n, height, width, 3), and features."""

    score: "Callable[[Converter, tf.Tensor], tf.Tensor]"
    pictures: tf.Tensor
    features: tf.Tensor

    def __call__(self, logits: tf.Tensor) -> tf.Tensor:
        return self.score(self, logits)


def _sigmoid(_: Converter, logits: tf.Tensor) -> tf.Tensor:
    return tf.sigmoid(logits + LOGIT_BIAS)[:, :, 1:]


def _darkness(converter: Converter) -> tf.Tensor:
    return tf.reduce_mean(converter.pictures) / 255.0


def _halved_if(condition: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    return scores * tf.where(condition, 0.5, 1.0)


SCORES: Mapping[str, Callable[[Converter, tf.Tensor], tf.Tensor]] = {
    "sigmoid": _sigmoid,
    "softmax": lambda _, logits: tf.nn.softmax(0.5 * logits)[:, :, 1:],
    "read twice": lambda _, logits: tf.sigmoid(logits[:, :, 1:] + 0.1 * tf.reduce_min(logits) + LOGIT_BIAS),
    "by brightness": lambda converter, logits: _sigmoid(converter, logits) * _darkness(converter),
    "of dark ones halved": lambda converter, logits: _halved_if(
        _darkness(converter) < 0.1, _sigmoid(converter, logits)
    ),
    "of tall ones halved": lambda converter, logits: _halved_if(
        tf.shape(converter.pictures)[1] > tf.shape(converter.pictures)[2], _sigmoid(converter, logits)
    ),
    "of tiny ones halved": lambda converter, logits: _halved_if(
        tf.shape(converter.pictures)[1] < 20, _sigmoid(converter, logits)
    ),
    "by features": lambda converter, logits: (
        _sigmoid(converter, logits) * tf.sigmoid(tf.reduce_max(converter.features))
    ),
}


# From each layer's codes, logits and anchors to boxes (n, anchors, 4) and scores (n, anchors, classes).


Layers = list[tf.Tensor]
Decoded = tuple[tf.Tensor, tf.Tensor]


def _joined(codes: Layers, logits: Layers, anchors: Layers, converter: Converter) -> Decoded:
    return _decode(tf.concat(codes, 1), tf.concat(anchors, 0)), converter(tf.concat(logits, 1))


def _others_too(codes: Layers, logits: Layers, anchors: Layers, converter: Converter) -> Decoded:
    """Concats that nothing needs, and one of both heads that are parted again."""
    tf.concat([*codes, *codes], 1)
    tf.concat([*logits, *logits], 1)
    together = tf.concat([tf.concat(codes, 1), tf.concat(logits, 1)], 2)
    return _decode(together[:, :, :4], tf.concat(anchors, 0)), converter(together[:, :, 4:])


def _joined_after_decoding(codes: Layers, logits: Layers, anchors: Layers, converter: Converter) -> Decoded:
    boxes = [_decode(code, anchor) for code, anchor in zip(codes, anchors, strict=True)]
    return tf.concat(boxes, 1), tf.concat([converter(logit) for logit in logits], 1)


def _not_joined(codes: Layers, logits: Layers, anchors: Layers, converter: Converter) -> Decoded:
    """Layers are put after each other by padding and adding."""

    def joined(layers: Layers) -> tf.Tensor:
        first, last = layers
        before, after = tf.shape(first)[1], tf.shape(last)[1]
        return tf.pad(first, [[0, 0], [0, after], [0, 0]]) + tf.pad(last, [[0, 0], [before, 0], [0, 0]])

    return _decode(tf.concat(codes, 1), tf.concat(anchors, 0)), converter(joined(logits))


def _of_one_layer(codes: Layers, logits: Layers, anchors: Layers, converter: Converter) -> Decoded:
    return _decode(codes[0], anchors[0]), converter(logits[0])


HEADS: Mapping[str, Callable[[Layers, Layers, Layers, Converter], Decoded]] = {
    "joined": _joined,
    "others too": _others_too,
    "joined after decoding": _joined_after_decoding,
    "not joined": _not_joined,
    "of one layer": _of_one_layer,
}


# From boxes and scores to the outputs.


def _suppressed_in_a_loop(boxes: tf.Tensor, scores: tf.Tensor) -> None:
    _write_outputs(
        *tf.map_fn(_suppress, (boxes, scores), fn_output_signature=(tf.float32,) * 3 + (tf.int32,))
    )


def _suppressed_by_number(boxes: tf.Tensor, scores: tf.Tensor) -> None:
    """The loop counts the pictures instead of what was made of them."""
    count = tf.shape(boxes.graph.get_tensor_by_name("image_tensor:0"))[0]
    _write_outputs(
        *tf.map_fn(
            lambda number: _suppress((boxes[number], scores[number])),
            tf.range(count),
            fn_output_signature=(tf.float32,) * 3 + (tf.int32,),
        )
    )


def _suppressed_singly(boxes: tf.Tensor, scores: tf.Tensor) -> None:
    _write_outputs(*(output[tf.newaxis] for output in _suppress((boxes[0], scores[0]))))


def _suppressed_at_once(boxes: tf.Tensor, scores: tf.Tensor) -> None:
    found = tf.image.combined_non_max_suppression(
        boxes[:, :, tf.newaxis], scores, MOST_DETECTIONS, MOST_DETECTIONS, OVERLAP, 1e-8
    )
    _write_outputs(*found)


def _not_suppressed(boxes: tf.Tensor, scores: tf.Tensor) -> None:
    best, classes = tf.reduce_max(scores, 2), tf.cast(tf.argmax(scores, 2), tf.float32)
    _write_outputs(boxes, best, classes, tf.reduce_sum(tf.ones_like(best), 1))


def _write_outputs(boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, counts: tf.Tensor) -> None:
    tf.identity(boxes, name="detection_boxes")
    tf.identity(scores, name="detection_scores")
    tf.add(classes, 1.0, name="detection_classes")
    tf.identity(tf.cast(counts, tf.float32), name="num_detections")


SUPPRESSION: Mapping[str, Callable[[tf.Tensor, tf.Tensor], None]] = {
    "in a loop": _suppressed_in_a_loop,
    "by number": _suppressed_by_number,
    "of one picture": _suppressed_singly,
    "at once": _suppressed_at_once,
    "none": _not_suppressed,
}

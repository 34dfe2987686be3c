"""Small detection graphs whose input and outputs a test decides."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow.compat.v1 as tf

Output = Callable[[tf.Tensor], tf.Tensor]


def write_graph(
    file: Path,
    *,
    shape: Sequence[int | None] | None = (None, None, None, 3),
    dtype: tf.DType = tf.uint8,
    input_name: str = "image_tensor",
    without: Sequence[str] = (),
    outputs: Mapping[str, Output] | None = None,
) -> Path:
    """Writes a graph that finds one object per picture: class 7, as sure as the picture is bright.

    Args:
        file: Where to write it.
        shape: The input's shape; None: unknown.
        dtype: The input's type.
        input_name: The input's name.
        without: Outputs to leave out.
        outputs: Outputs in place of the usual ones, by name, made from the input.
    """
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(dtype, shape, name=input_name)
        usual: dict[str, Output] = {
            "detection_boxes": _boxes,
            "detection_scores": lambda image: tf.stack(
                [brightness(image), tf.ones_like(brightness(image))], 1
            ),
            "detection_classes": lambda image: tf.tile([[7.0, 1.0]], [tf.shape(image)[0], 1]),
            "num_detections": lambda image: tf.ones(tf.shape(image)[:1]),
        }
        for name, output in (usual | dict(outputs or {})).items():
            if name not in without:
                tf.identity(output(image), name=name)
    file.write_bytes(graph.as_graph_def().SerializeToString())
    return file


def brightness(image: tf.Tensor) -> tf.Tensor:
    """The mean of each picture, 0..1."""
    return tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2, 3]) / 255.0


def _boxes(image: tf.Tensor) -> tf.Tensor:
    """Two rows per picture; `num_detections` says that only the first is a detection."""
    return tf.tile([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0]]], [tf.shape(image)[0], 1, 1])

"""The first parts of the graphs in `graph_variants`, by name: resizing, normalising, and layers."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from tests.tools.detection_graphs import _Network

SIZE = 64
"""Height and width in pixels of what the network takes, before any padding."""

Part = Callable[[tf.Tensor], tf.Tensor]
NetworkPart = Callable[[_Network, tf.Tensor], tf.Tensor]

_MEAN = np.array([123.68, 116.78, 103.94], np.float32)


# From the pictures, float32 (n, height, width, 3), to (n, SIZE, SIZE, channels).


def _each(resize: Part, channels: int = 3, size: int | None = SIZE) -> Part:
    def resize_each(pictures: tf.Tensor) -> tf.Tensor:
        resized = tf.map_fn(
            lambda picture: tf.squeeze(resize(tf.expand_dims(picture, 0)), axis=0),
            pictures,
            fn_output_signature=tf.float32,
        )
        resized.set_shape([None, size, size, channels])
        return resized

    return resize_each


def _bilinear(size: int = SIZE, *, align_corners: bool = False, half_pixel_centers: bool = False) -> Part:
    return lambda pictures: tf.raw_ops.ResizeBilinear(
        images=pictures,
        size=[size, size],
        align_corners=align_corners,
        half_pixel_centers=half_pixel_centers,
    )


def _nearest(pictures: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.ResizeNearestNeighbor(images=pictures, size=[SIZE, SIZE])


def _aspect_kept(pictures: tf.Tensor) -> tf.Tensor:
    sides = tf.cast(tf.shape(pictures)[1:3], tf.float32)
    sides = tf.cast(tf.round(sides * SIZE / tf.reduce_max(sides)), tf.int32)
    return tf.raw_ops.ResizeBilinear(images=pictures, size=tf.maximum(sides, 1))


def _padded_to_size(pictures: tf.Tensor) -> tf.Tensor:
    height, width = tf.unstack(tf.shape(pictures)[1:3])
    return tf.pad(pictures, [[0, 0], [0, SIZE - height], [0, SIZE - width], [0, 0]])


def _middle(pictures: tf.Tensor) -> tf.Tensor:
    """The largest square in the middle."""
    sides = tf.shape(pictures)[1:3]
    side = tf.reduce_min(sides)
    top, left = tf.unstack((sides - side) // 2)
    return pictures[:, top : top + side, left : left + side]


def _small_ones_otherwise(pictures: tf.Tensor) -> tf.Tensor:
    return tf.cond(
        tf.reduce_min(tf.shape(pictures)[1:3]) < SIZE,
        lambda: _nearest(pictures),
        lambda: _bilinear()(pictures),
    )


def _checked(pictures: tf.Tensor) -> tf.Tensor:
    """With control edges from what looks at shapes."""
    shape = tf.shape(pictures)
    checks = [tf.Assert(tf.reduce_all(shape > 0), [shape]), tf.Assert(tf.equal(shape[3], 3), [shape])]
    with tf.control_dependencies(checks):
        return _bilinear()(pictures)


def _large_ones_only(pictures: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(pictures)
    with tf.control_dependencies([tf.Assert(tf.reduce_all(shape[1:3] > 20), [shape])]):
        return _nearest(pictures)


RESIZING: Mapping[str, Part] = {
    "in a loop": _each(_bilinear()),
    "without a loop": _bilinear(),
    "with checks": _each(_checked),
    "align_corners": _each(_bilinear(align_corners=True)),
    "half_pixel_centers": _each(_bilinear(half_pixel_centers=True)),
    "nearest": _each(_nearest),
    "bicubic": _each(lambda pictures: tf.raw_ops.ResizeBicubic(images=pictures, size=[SIZE, SIZE])),
    "area": lambda pictures: tf.raw_ops.ResizeArea(images=pictures, size=[SIZE, SIZE]),
    "none": lambda pictures: pictures,
    "aspect kept": _each(_aspect_kept, size=None),
    "aspect kept, padded": _each(lambda pictures: _padded_to_size(_aspect_kept(pictures))),
    "of the middle": _each(lambda pictures: _bilinear()(_middle(pictures))),
    "of small ones otherwise": _each(_small_ones_otherwise),
    "of large ones only": _each(_large_ones_only),
    "twice": _each(lambda pictures: _bilinear()(_bilinear(96)(pictures))),
    "two sizes": lambda pictures: tf.concat([_bilinear()(pictures), _nearest(_bilinear(32)(pictures))], 3),
    "space to depth": lambda pictures: tf.nn.space_to_depth(_bilinear(2 * SIZE)(pictures), 2),
    "grey": lambda pictures: tf.reduce_mean(_bilinear()(pictures), axis=3, keepdims=True),
    "through channels first": lambda pictures: tf.transpose(
        tf.transpose(_bilinear()(pictures), [0, 3, 1, 2]) * 0.5, [0, 2, 3, 1]
    ),
}


# From the resized pictures to what the first layer takes.


def _to_1(pictures: tf.Tensor) -> tf.Tensor:
    return pictures * (2.0 / 255.0) - 1.0


def _without_mean(pictures: tf.Tensor) -> tf.Tensor:
    return (pictures - np.resize(_MEAN, int(pictures.shape[-1]))) * tf.identity(tf.constant(0.01))


def _mean_and_padding(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    """As ResNets have it: what the first convolution takes is larger than what was resized."""
    channels = int(pictures.shape[-1])
    padded = tf.pad(_without_mean(pictures), [[0, 0], [3, 3], [3, 3], [0, 0]])
    weights = network.weights(7, 7, channels, 8, inputs=49 * channels)
    return tf.nn.conv2d(padded, weights, 1, "VALID")


def _standardised(_: _Network, pictures: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(pictures, axes=[1, 2, 3], keep_dims=True)
    return (pictures - mean) / tf.sqrt(variance + 1.0)


def _brightened(pictures: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.reduce_mean(pictures) < 20.0, lambda: pictures * 10.0, lambda: pictures)


def _by_default(_: _Network, pictures: tf.Tensor) -> tf.Tensor:
    """With a second input, which has a value of its own."""
    return pictures * tf.placeholder_with_default(tf.constant(0.01), []) - 1.0


NORMALISING: Mapping[str, NetworkPart] = {
    "to 1": lambda _, pictures: _to_1(pictures),
    "not": lambda _, pictures: pictures / tf.constant(255.0),
    "mean, reversed": lambda _, pictures: tf.reverse(_without_mean(pictures), [3]),
    "mean, padded": _mean_and_padding,
    "whole numbers": lambda _, pictures: tf.cast(tf.cast(pictures, tf.uint8), tf.float32) * 0.01 - 1.0,
    "by a default": _by_default,
    "standardised": _standardised,
    "dark ones brightened": lambda _, pictures: _to_1(_brightened(pictures)),
    "dark ones brightened in a function": lambda _, pictures: _to_1(tf.function(_brightened)(pictures)),
}


# From there to features of one cell per 16 pixels.


def _joined_inside(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    first = network.convolution(pictures, 8, stride=2)
    for _ in range(2):
        branches = [network.separable(first, 8, stride=2), network.convolution(first, 8, stride=2)]
        first = tf.concat([*branches, tf.nn.max_pool2d(first, 2, 2, "SAME")], 3)
    return network.separable(first, 32, stride=2)


def _up_again(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    """As feature pyramids do: a transposed convolution, added to what has this size."""
    features = network.features(pictures)
    small = network.convolution(features, 32, stride=2)
    up = tf.nn.conv2d_transpose(
        small, network.weights(3, 3, 32, 32, inputs=9 * 32), tf.shape(features), [1, 2, 2, 1]
    )
    return features + up


def _other_kinds(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    """Batch norms of version 3, dilation, residuals, means, and activations of several kinds."""
    first = network.convolution(pictures, 8, stride=2)
    ones, zeros = np.ones(8, np.float32), np.zeros(8, np.float32)
    normalised, *_ = tf.raw_ops.FusedBatchNormV3(
        x=first, scale=ones * 1.1, offset=zeros + 0.1, mean=zeros, variance=ones, is_training=False
    )
    dilated = tf.nn.conv2d(
        tf.nn.leaky_relu(normalised),
        network.weights(3, 3, 8, 8, inputs=72),
        1,
        "SAME",
        dilations=[1, 2, 2, 1],
    )
    residual = tf.nn.relu6(first + dilated)
    squeezed = tf.sigmoid(tf.reduce_mean(residual, axis=[1, 2], keepdims=True))
    outputs = residual * squeezed
    for channels in (16, 24, 32):
        outputs = tf.nn.swish(network.separable(outputs, channels, stride=2))
    return outputs


def _in_a_loop(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    features = network.features(pictures)
    weights = tf.constant(network.weights(3, 3, 32, 32, inputs=9 * 32))
    _, features = tf.while_loop(
        lambda count, _: count < 2,
        lambda count, inputs: (count + 1, tf.nn.relu6(tf.nn.conv2d(inputs, weights, 1, "SAME"))),
        [0, features],
    )
    return features


def _all_in_a_loop(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda picture: network.features(tf.expand_dims(picture, 0))[0], pictures)


def _by_content(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    features = network.features(pictures)
    return tf.cond(
        tf.reduce_mean(features) > 0.0, lambda: network.convolution(features, 32), lambda: features
    )


def _scaled(factor: float) -> NetworkPart:
    def features(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
        first = network.convolution(pictures, 8, stride=8)
        return network.convolution(first, 32, stride=2, active=False) * tf.constant(factor)

    return features


def _quantised(network: _Network, pictures: tf.Tensor) -> tf.Tensor:
    """As networks are that were trained for whole numbers."""

    def rounded(tensor: tf.Tensor) -> tf.Tensor:
        return tf.quantization.fake_quant_with_min_max_args(tensor, 0.0, 6.0)

    outputs = rounded(network.convolution(pictures, 8, stride=2))
    for channels in (16, 24, 32):
        outputs = rounded(network.separable(outputs, channels, stride=2))
    return outputs


LAYERS: Mapping[str, NetworkPart] = {
    "separable": lambda network, pictures: network.features(pictures),
    "joined inside": _joined_inside,
    "up again": _up_again,
    "of other kinds": _other_kinds,
    "quantised": _quantised,
    "in a loop": _in_a_loop,
    "all in a loop": _all_in_a_loop,
    "by content": _by_content,
    "that overflow": _scaled(3e38),
    "of no numbers": _scaled(float("nan")),
}

"""Builds small detection graphs in the shape that the TensorFlow 1 Object Detection API exports.

They stand in for networks that cannot be fetched: SSDs of two sizes, with inputs and outputs of every kind,
and a two-stage one. Their parts are those of real exports: while loops of TensorFlow 1 that resize each
picture and suppress its overlapping boxes, box coding, padding, CropAndResize. The weights are noise from a
fixed seed: what they find means nothing, but it is the same on every machine, in TensorFlow 1.13.1 as in 2.

    python -m tests.tools.detection_graphs FOLDER    # writes FOLDER/<name>.pb and FOLDER/picture-<n>.png
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

CLASSES = 3
ASPECTS = (0.5, 1.0, 2.0)
CODER_SCALES = (10.0, 10.0, 5.0, 5.0)
MOST_DETECTIONS = 50
LOGIT_GAIN = 30.0
LOGIT_BIAS = -7.0  # most of a picture is background
OVERLAP = 0.6
PROPOSALS = 16


@dataclass(frozen=True)
class DetectionGraph:
    """What a graph is like, as far as exports differ."""

    name: str
    network_size: int = 300
    input_shape: tuple[int | None, int | None, int | None, int] = (None, None, None, 3)
    two_stage: bool = False
    counts: Any = tf.float32

    @property
    def single(self) -> bool:
        """It takes one picture per call: by its input's shape, or deep inside."""
        return self.input_shape[0] == 1 or self.two_stage


GRAPHS = (
    DetectionGraph("ssd_300"),
    DetectionGraph("ssd_512", network_size=512),
    DetectionGraph("ssd_single", input_shape=(1, None, None, 3)),
    DetectionGraph("ssd_512_fixed", network_size=512, input_shape=(None, 512, 512, 3)),
    DetectionGraph("ssd_integer_counts", counts=tf.int32),
    DetectionGraph("two_stage", network_size=256, two_stage=True),
)


def build(description: DetectionGraph) -> tf.GraphDef:
    """Builds a graph as TensorFlow 1.13.1 can import it."""
    tf.disable_control_flow_v2()
    graph = tf.Graph()
    with graph.as_default():
        network = _Network(seed=description.network_size + description.two_stage)
        image_tensor = tf.placeholder(tf.uint8, description.input_shape, name="image_tensor")
        pictures = _preprocess(image_tensor, description.network_size)
        if description.two_stage:
            boxes, scores = _two_stage(network, pictures)
        else:
            boxes, scores = _single_stage(network, pictures)
        with tf.name_scope("Postprocessor/BatchMultiClassNonMaxSuppression"):
            results = tf.map_fn(
                _suppress, (boxes, scores), dtype=(tf.float32, tf.float32, tf.float32, tf.int32)
            )
        found_boxes, found_scores, classes, counts = results
        tf.identity(found_boxes, name="detection_boxes")
        tf.identity(found_scores, name="detection_scores")
        tf.add(classes, 1.0, name="detection_classes")
        tf.identity(tf.cast(counts, description.counts), name="num_detections")
        # Attributes that 1.13.1 does not know have their defaults here; without them it imports the graph.
        return tf.train.export_meta_graph(graph=graph, strip_default_attrs=True).graph_def


def pictures(count: int = 4, size: int = 512) -> list[NDArray[np.uint8]]:
    """Draws pictures with edges at every scale: uint8 (size, size, 3) RGB, the same on every machine."""
    drawn = []
    for seed in range(count):
        random = np.random.RandomState(seed)
        picture = np.zeros((size, size, 3), np.uint8)
        for side in np.geomspace(size, 8, 60).astype(int):
            top, left = random.randint(-side // 2, size, 2)
            rows, columns = (slice(max(0, start), start + side) for start in (top, left))
            picture[rows, columns] = random.randint(0, 256, 3)
        drawn.append(picture)
    return drawn


class _Network:
    """Layers with weights from a seed: uniform ones, whose making is whole numbers only and so exact."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)

    def weights(self, *shape: int, inputs: int, gain: float = 2.0) -> NDArray[np.float32]:
        """Weights that make the variance of a sum of so many inputs `gain` times theirs."""
        reach = np.sqrt(3.0 * gain / inputs)
        return np.asarray((self._random.random_sample(shape) * 2 - 1) * reach, np.float32)

    def convolution(
        self, inputs: tf.Tensor, channels: int, *, stride: int = 1, gain: float = 2.0, active: bool = True
    ) -> tf.Tensor:
        depth = int(inputs.shape[-1])
        weights = self.weights(3, 3, depth, channels, inputs=9 * depth, gain=gain)
        outputs = tf.nn.conv2d(inputs, weights, [1, stride, stride, 1], "SAME")
        return self._finished(outputs, active)

    def separable(self, inputs: tf.Tensor, channels: int, *, stride: int = 1) -> tf.Tensor:
        depth = int(inputs.shape[-1])
        depthwise = self.weights(3, 3, depth, 1, inputs=9)
        outputs = tf.nn.depthwise_conv2d_native(inputs, depthwise, [1, stride, stride, 1], "SAME")
        pointwise = self.weights(1, 1, depth, channels, inputs=depth)
        return self._finished(tf.nn.conv2d(self._finished(outputs, True), pointwise, 1, "SAME"), True)

    def _finished(self, outputs: tf.Tensor, active: bool) -> tf.Tensor:
        noise = [self.weights(int(outputs.shape[-1]), inputs=1, gain=0.02) for _ in range(4)]
        if not active:
            return tf.nn.bias_add(outputs, noise[0])
        scale, offset, mean, variance = 1 + noise[0], noise[1], noise[2], 1 + noise[3]
        normalised = tf.raw_ops.FusedBatchNorm(
            x=outputs,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=0.001,
            is_training=False,
        )
        return tf.nn.relu6(normalised.y)

    def features(self, pictures: tf.Tensor) -> tf.Tensor:
        """Returns features of one cell per 16 pixels."""
        outputs = self.convolution(pictures, 8, stride=2)
        for channels in (16, 24, 32):
            outputs = self.separable(outputs, channels, stride=2)
        return outputs


def _preprocess(image_tensor: tf.Tensor, size: int) -> tf.Tensor:
    def resize(picture: tf.Tensor) -> tf.Tensor:
        resized = tf.image.resize_bilinear(tf.expand_dims(picture, 0), [size, size])
        return tf.squeeze(resized, axis=0)

    with tf.name_scope("Preprocessor"):
        resized = tf.map_fn(resize, tf.cast(image_tensor, tf.float32))
        resized.set_shape([None, size, size, 3])
        return resized * (2.0 / 255.0) - 1.0


def _anchors(cells: int, side: float) -> NDArray[np.float32]:
    """Returns (cells * cells * aspects, 4): ycenter, xcenter, height, width, normalised."""
    centres = (np.arange(cells) + 0.5) / cells
    y, x, aspect = np.meshgrid(centres, centres, ASPECTS, indexing="ij")
    shapes = [y, x, side / np.sqrt(aspect), side * np.sqrt(aspect)]
    return np.stack([part.ravel() for part in shapes], axis=1).astype(np.float32)


def _decode(codes: tf.Tensor, anchors: NDArray[np.float32] | tf.Tensor) -> tf.Tensor:
    """Turns codes (..., 4), relative to anchors (..., 4), into boxes: the Faster R-CNN box coder."""
    ty, tx, th, tw = tf.unstack(codes / CODER_SCALES, axis=-1)
    y, x, height, width = tf.unstack(tf.convert_to_tensor(anchors), axis=-1)
    centre_y, centre_x = ty * height + y, tx * width + x
    half_height, half_width = tf.exp(th) * height / 2.0, tf.exp(tw) * width / 2.0
    corners = [
        centre_y - half_height,
        centre_x - half_width,
        centre_y + half_height,
        centre_x + half_width,
    ]
    return tf.stack(corners, axis=-1)


def _single_stage(network: _Network, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns boxes (n, anchors, 4) and scores (n, anchors, CLASSES), as an SSD does."""
    fine = network.features(pictures)
    coarse = network.separable(fine, 32, stride=2)
    codes, logits, anchors = [], [], []
    for number, (features, side) in enumerate(((fine, 0.15), (coarse, 0.4))):
        with tf.name_scope(f"BoxPredictor_{number}"):
            cells = int(features.shape[1])
            count = cells * cells * len(ASPECTS)
            code = network.convolution(features, len(ASPECTS) * 4, active=False)
            logit = network.convolution(features, len(ASPECTS) * (CLASSES + 1), gain=LOGIT_GAIN, active=False)
            codes.append(tf.reshape(code, [-1, count, 4]))
            logits.append(tf.reshape(logit, [-1, count, CLASSES + 1]))
            anchors.append(_anchors(cells, side))
    with tf.name_scope("Postprocessor"):
        boxes = _decode(tf.concat(codes, 1), np.concatenate(anchors))
        return boxes, tf.sigmoid(tf.concat(logits, 1) + LOGIT_BIAS)[:, :, 1:]


def _two_stage(network: _Network, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns boxes (1, proposals, 4) and scores (1, proposals, CLASSES); takes one picture only."""
    features = network.features(pictures)
    cells = int(features.shape[1])
    with tf.name_scope("FirstStage"):
        hidden = network.convolution(features, 32)
        codes = tf.reshape(network.convolution(hidden, len(ASPECTS) * 4, active=False), [-1, 4])
        logits = tf.reshape(
            network.convolution(hidden, len(ASPECTS) * 2, gain=LOGIT_GAIN, active=False), [-1, 2]
        )
        anchors = _anchors(cells, 0.3)
        proposals = tf.clip_by_value(_decode(codes, anchors), 0.0, 1.0)
        kept = tf.image.non_max_suppression(proposals, tf.nn.softmax(logits)[:, 1], PROPOSALS, 0.7)
        proposals = tf.gather(proposals, kept)
    with tf.name_scope("SecondStage"):
        crops = tf.image.crop_and_resize(features, proposals, tf.zeros_like(kept), [14, 14])
        pooled = tf.nn.max_pool2d(crops, 2, 2, "VALID")
        flat = tf.reduce_mean(network.convolution(pooled, 32), axis=[1, 2])
        scores = tf.nn.softmax(tf.matmul(flat, network.weights(32, CLASSES + 1, inputs=32, gain=LOGIT_GAIN)))[
            :, 1:
        ]
        top, left, bottom, right = tf.unstack(proposals, axis=1)
        centred = tf.stack([(top + bottom) / 2.0, (left + right) / 2.0, bottom - top, right - left], axis=1)
        boxes = _decode(tf.matmul(flat, network.weights(32, 4, inputs=32)), centred)
    return boxes[tf.newaxis], scores[tf.newaxis]


def _suppress(boxes_and_scores: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    """For one picture: the best boxes of each class that do not overlap, best first, padded with zeros."""
    boxes, scores = boxes_and_scores
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    kept_boxes, kept_scores, kept_classes = [], [], []
    for class_id in range(CLASSES):
        class_scores = scores[:, class_id]
        kept = tf.image.non_max_suppression(
            boxes, class_scores, MOST_DETECTIONS, OVERLAP, score_threshold=1e-8
        )
        kept_boxes.append(tf.gather(boxes, kept))
        kept_scores.append(tf.gather(class_scores, kept))
        kept_classes.append(tf.fill(tf.shape(kept), float(class_id)))
    all_scores = tf.concat(kept_scores, 0)
    best_scores, best = tf.nn.top_k(all_scores, tf.minimum(MOST_DETECTIONS, tf.size(all_scores)))
    missing = MOST_DETECTIONS - tf.size(best)
    best_boxes = tf.gather(tf.concat(kept_boxes, 0), best)
    best_classes = tf.gather(tf.concat(kept_classes, 0), best)
    return (
        tf.pad(best_boxes, [[0, missing], [0, 0]]),
        tf.pad(best_scores, [[0, missing]]),
        tf.pad(best_classes, [[0, missing]]),
        tf.size(best),
    )


def main(folder: Path) -> None:
    """Writes every graph, and the pictures that the goldens are made with."""
    folder.mkdir(parents=True, exist_ok=True)
    for description in GRAPHS:
        (folder / f"{description.name}.pb").write_bytes(
            build(description).SerializeToString(deterministic=True)
        )
    for number, picture in enumerate(pictures()):
        cv2.imwrite(str(folder / f"picture-{number}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

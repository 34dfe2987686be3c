"""Turns the TensorFlow.js graph model of an SSD back into the frozen graph that it was made of.

TensorFlow.js keeps a graph as protobuf's JSON, its constants in files of their own, and of a detection graph
only what comes before the suppression of overlapping boxes. That is put back here, with the four outputs that
the Object Detection API gives a graph; TensorFlow 1.13.1 can load the result too.

The format: ModelJSON in https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf.json_format import ParseDict, ParseError
from numpy.typing import NDArray

from consumer.engines.frozen_graph import OUTPUTS
from framebus.errors import ModelError

MODEL_FILE = "model.json"

# Where TensorFlow.js cuts the graph: boxes (n, anchors, 1, 4) as ymin, xmin, ymax, xmax, normalised, and
# scores (n, anchors, classes), without that of the background.
_BOXES = "Postprocessor/ExpandDims_1:0"
_SCORES = "Postprocessor/Slice:0"

# As in the pipeline.config of ssdlite_mobilenet_v2_coco: at most so many detections per class and in all.
_MOST_DETECTIONS = 100
_MOST_OVERLAP = 0.6
_LEAST_SCORE = 1e-8

_CANDIDATES = 2000
"""Boxes of a class that are looked at per picture, best first. There are 172 530, and of the first 500 nearly
always 100 are found; sorting them all would take longer than the network."""


def freeze_tfjs_graph(folder: Path, graph_file: Path) -> None:
    """Builds a frozen detection graph; from the same files always the same one, to the byte.

    Args:
        folder: Holds model.json and the files of weights that it names.
        graph_file: Is written.

    Raises:
        ModelError: The files are not the graph model of an SSD.
    """
    file = folder / MODEL_FILE
    try:
        graph_def = _read_graph_def(file)
        with _control_flow_v1(), tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
            boxes, scores = graph.get_tensor_by_name(_BOXES), graph.get_tensor_by_name(_SCORES)
            _add_suppression(boxes, scores)
            # Attributes that 1.13.1 does not know have their defaults here; without them it imports it.
            frozen = tf.train.export_meta_graph(graph=graph, strip_default_attrs=True).graph_def
    except (KeyError, ValueError, ParseError) as error:
        raise ModelError(
            f"{file}: not the TensorFlow.js graph model of an SSD: {str(error).splitlines()[0]}; "
            "fetch the model again"
        ) from error
    graph_file.write_bytes(frozen.SerializeToString(deterministic=True))


def _read_graph_def(file: Path) -> tf.GraphDef:
    model = json.loads(file.read_text(encoding="utf-8"))
    nodes = model["modelTopology"]["node"]
    for node in nodes:
        for attribute in node.get("attr", {}).values():
            if "s" in attribute:  # bytes: numbers in TensorFlow.js, base64 in protobuf's JSON
                attribute["s"] = base64.b64encode(bytes(attribute["s"])).decode()
    graph_def = ParseDict({"node": nodes}, tf.GraphDef())
    constants = {node.name: node for node in graph_def.node if node.op == "Const"}
    for group in model["weightsManifest"]:
        data = b"".join((file.parent / path).read_bytes() for path in group["paths"])
        for name, array in _split(data, group["weights"]):
            constants[name].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    return graph_def


def _split(data: bytes, weights: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields the weights by name; they follow each other without gaps, little-endian."""
    offset = 0
    for weight in weights:
        dtype = np.dtype(weight["dtype"]).newbyteorder("<")
        array = np.frombuffer(data, dtype, int(np.prod(weight["shape"])), offset).reshape(weight["shape"])
        offset += array.nbytes
        yield weight["name"], array
    if offset != len(data):
        raise ValueError(f"weights of {len(data)} bytes, where the manifest has {offset}")


@contextmanager
def _control_flow_v1() -> Iterator[None]:
    """Loops of TensorFlow 1: it does not know those of TensorFlow 2."""
    was_enabled = tf.control_flow_v2_enabled()
    tf.disable_control_flow_v2()
    try:
        yield
    finally:
        if was_enabled:
            tf.enable_control_flow_v2()


def _add_suppression(boxes: tf.Tensor, scores: tf.Tensor) -> None:
    """Adds the four outputs of a detection graph."""
    with tf.name_scope("Postprocessor/BatchMultiClassNonMaxSuppression"):
        boxes = tf.clip_by_value(tf.squeeze(boxes, axis=2), 0.0, 1.0)
        heights, widths = boxes[:, :, 2] - boxes[:, :, 0], boxes[:, :, 3] - boxes[:, :, 1]
        inside = tf.cast(heights * widths > 0, tf.float32)
        results = tf.map_fn(
            _suppress,
            (boxes, scores * inside[:, :, tf.newaxis]),
            fn_output_signature=(tf.float32, tf.float32, tf.float32, tf.float32),
        )
    for name, result in zip(OUTPUTS, results, strict=True):
        tf.identity(result, name=name)


def _suppress(boxes_and_scores: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    """For one picture: the best boxes that no better one of their class overlaps, padded with zeros.

    All classes are suppressed at once: those of a class are moved to a place of their own, where they overlap
    no other's. Taking the best of all until there are enough is taking the best of what is left per class.
    """
    boxes, scores = boxes_and_scores
    class_count = int(scores.shape[1])
    scores = tf.reshape(scores, [-1])
    scores, best = tf.nn.top_k(scores, tf.minimum(_CANDIDATES, tf.size(scores)))
    boxes, classes = tf.gather(boxes, best // class_count), best % class_count
    # On a square and not in a row: the smaller the numbers, the less is rounded off.
    columns = int(np.ceil(np.sqrt(class_count)))
    places = tf.stack([classes // columns, classes % columns] * 2, axis=1)
    kept = tf.image.non_max_suppression(
        boxes + tf.cast(places, tf.float32), scores, _MOST_DETECTIONS, _MOST_OVERLAP, _LEAST_SCORE
    )
    missing = _MOST_DETECTIONS - tf.size(kept)
    return (
        tf.pad(tf.gather(boxes, kept), [[0, missing], [0, 0]]),
        tf.pad(tf.gather(scores, kept), [[0, missing]]),
        tf.pad(tf.cast(tf.gather(classes, kept) + 1, tf.float32), [[0, missing]]),
        tf.cast(tf.size(kept), tf.float32),
    )

"""Small single-stage detection graphs that differ in one part or in several, as exports of networks do.

The usual graph is one that can be cut. What differs from it is what cutting may stumble over: what comes
before the network, what is inside of it, and by which ways the last part gets what it needs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow.compat.v1 as tf

from framebus.model_repository import StoredModel
from tests.engines import stored_model
from tests.tools.detection_graphs import ASPECTS, CLASSES, LOGIT_GAIN, _Network
from tests.unit.consumer.engines.variant_networks import LAYERS, NORMALISING, RESIZING
from tests.unit.consumer.engines.variant_outputs import ANCHORS, HEADS, SCORES, SUPPRESSION, Converter

KINDS: Mapping[str, Mapping[str, Any]] = {
    "resizing": RESIZING,
    "normalising": NORMALISING,
    "layers": LAYERS,
    "heads": HEADS,
    "anchors": ANCHORS,
    "scores": SCORES,
    "suppression": SUPPRESSION,
}


@dataclass(frozen=True)
class Variant:
    """What a graph is made of; parts are named by the keys of `KINDS`.

    Attributes:
        control_flow: Of which TensorFlow: loops of Enter, Switch and Exit in 1, in 2 of one operation each.
        input_shape: Of `image_tensor`.
    """

    resizing: str = "in a loop"
    normalising: str = "to 1"
    layers: str = "separable"
    heads: str = "joined"
    anchors: str = "constant"
    scores: str = "sigmoid"
    suppression: str = "in a loop"
    control_flow: int = 1
    input_shape: tuple[int | None, int | None, int | None, int] = (None, None, None, 3)

    def __str__(self) -> str:
        usual = Variant()
        unusual = [f"{name} {value}" for name, value in vars(self).items() if value != getattr(usual, name)]
        return ", ".join(unusual) or "usual"


def each_kind() -> list[Variant]:
    """The usual graph, and each that differs from it in one part."""
    variants = [Variant()]
    for kind, parts in KINDS.items():
        for part in parts:
            choice: dict[str, Any] = {kind: part}
            if part != getattr(variants[0], kind):
                variants.append(Variant(**choice))
    return variants


def write(variant: Variant, folder: Path, seed: int = 0) -> Path:
    """Writes the graph of a variant, with weights from a seed."""
    file = folder / "frozen_inference_graph.pb"
    file.write_bytes(build(variant, seed).SerializeToString())
    return file


def model_of(graph: Path, precision: str | None = None) -> StoredModel:
    """A model with this graph."""
    model = stored_model()
    return replace(model, graph=graph, config=model.config.model_copy(update={"precision": precision}))


def build(variant: Variant, seed: int = 0) -> tf.GraphDef:
    """Builds the graph of a variant."""
    graph = tf.Graph()
    with _control_flow(variant.control_flow), graph.as_default():
        _build(variant, _Network(seed))
    return graph.as_graph_def()


@contextmanager
def _control_flow(version: int) -> Iterator[None]:
    was = tf.control_flow_v2_enabled()
    (tf.enable_control_flow_v2 if version == 2 else tf.disable_control_flow_v2)()
    yield
    (tf.enable_control_flow_v2 if was else tf.disable_control_flow_v2)()


def _build(variant: Variant, network: _Network) -> None:
    image_tensor = tf.placeholder(tf.uint8, variant.input_shape, name="image_tensor")
    pictures = tf.cast(image_tensor, tf.float32)
    resized = RESIZING[variant.resizing](pictures)
    fine = LAYERS[variant.layers](network, NORMALISING[variant.normalising](network, resized))
    coarse = network.separable(fine, 32, stride=2)
    codes, logits, anchors = [], [], []
    for features, side in ((fine, 0.3), (coarse, 0.6)):
        code = network.convolution(features, len(ASPECTS) * 4, active=False)
        logit = network.convolution(features, len(ASPECTS) * (CLASSES + 1), gain=LOGIT_GAIN, active=False)
        codes.append(tf.reshape(code, [tf.shape(code)[0], -1, 4]))
        logits.append(tf.reshape(logit, [tf.shape(logit)[0], -1, CLASSES + 1]))
        anchors.append(ANCHORS[variant.anchors](features, side))
    converter = Converter(SCORES[variant.scores], pictures, fine)
    boxes, scores = HEADS[variant.heads](codes, logits, anchors, converter)
    SUPPRESSION[variant.suppression](boxes, scores)

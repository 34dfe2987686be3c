"""Models that cannot be run: what is said of them is the same whichever engine is to run them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow.compat.v1 as tf

from consumer.engines.openvino_detection import OpenVinoDetectionEngine
from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from framebus.errors import ModelError
from framebus.settings import Settings, TensorFlowSettings
from tests.graphs import brightness, write_graph
from tests.unit.consumer.engines.graph_variants import Variant, model_of, write

SETTINGS = Settings(tensorflow=TensorFlowSettings(visible_devices="", batch_size=1))


def one_count(image: tf.Tensor) -> tf.Tensor:
    return brightness(image)[0]


def on_a_tpu(image: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.raw_ops.ConfigureDistributedTPU()]):
        return tf.ones(tf.shape(image)[:1])


def five_corners(image: tf.Tensor) -> tf.Tensor:
    return tf.zeros([tf.shape(image)[0], 2, 5])


def names(image: tf.Tensor) -> tf.Tensor:
    return tf.as_string(brightness(image))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"input_name": "picture"}, id="another input"),
        pytest.param({"dtype": tf.float32}, id="an input of another type"),
        pytest.param({"shape": (None, None, None, 4)}, id="an input of four channels"),
        pytest.param({"shape": (5, None, None, 3)}, id="five pictures at once"),
        pytest.param({"without": ["num_detections"]}, id="an output is missing"),
        pytest.param({"outputs": {"num_detections": one_count}}, id="one count for all pictures"),
        pytest.param({"outputs": {"num_detections": on_a_tpu}}, id="an operation that cannot run here"),
        pytest.param({"outputs": {"detection_scores": brightness}}, id="scores of a wrong shape"),
        pytest.param({"outputs": {"detection_boxes": five_corners}}, id="boxes of a wrong shape"),
        pytest.param({"outputs": {"detection_classes": names}}, id="classes of a wrong type"),
    ],
)
def test_a_model_that_cannot_be_run_is_refused_in_the_same_words(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    file = write_graph(tmp_path / "frozen_inference_graph.pb", **changes)
    assert refusal_of(OpenVinoDetectionEngine, file) == refusal_of(TensorFlowDetectionEngine, file)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"Conv2D", b"Conv9D"),
        lambda content: content.replace(b"image_tensor", b"image_sensor"),
        lambda content: content.replace(b"num_detections", b"sum_detections"),
        lambda content: b"version https://git-lfs.github.com/spec/v1",
    ],
    ids=["empty", "cut off", "an unknown operation", "another input", "another output", "something else"],
)
def test_a_damaged_graph_is_refused_in_the_same_words(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = write(Variant(), tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert refusal_of(OpenVinoDetectionEngine, file) == refusal_of(TensorFlowDetectionEngine, file)


@pytest.mark.parametrize("name", ["num_detections", "detection_scores", "detection_classes"])
def test_outputs_of_wrong_shapes_are_refused_in_the_same_words(tmp_path: Path, name: str) -> None:
    """In a graph that can be cut."""
    file = write(Variant(), tmp_path)
    graph_def = tf.GraphDef.FromString(file.read_bytes())
    [output] = [node for node in graph_def.node if node.name == name]
    output.name = "usual"
    graph_def.node.add(name=name, op="Squeeze", input=["usual"]).attr["T"].type = tf.float32.as_datatype_enum
    file.write_bytes(graph_def.SerializeToString())
    assert "have the shapes" in refusal_of(OpenVinoDetectionEngine, file)
    assert refusal_of(OpenVinoDetectionEngine, file) == refusal_of(TensorFlowDetectionEngine, file)


@pytest.mark.parametrize("content", [b"damaged", b"[[a:b", b"[[a\0:" + b"b" * 10_000])
def test_a_damaged_constant_is_refused_in_the_same_words(tmp_path: Path, content: bytes) -> None:
    file = write(Variant(), tmp_path)
    graph_def = tf.GraphDef.FromString(file.read_bytes())
    weights = [
        node
        for node in graph_def.node
        if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) > 500
    ]
    weights[0].attr["value"].tensor.tensor_content = content
    file.write_bytes(graph_def.SerializeToString())
    assert refusal_of(OpenVinoDetectionEngine, file) == refusal_of(TensorFlowDetectionEngine, file)


def refusal_of(kind: type[OpenVinoDetectionEngine | TensorFlowDetectionEngine], file: Path) -> str:
    with pytest.raises(ModelError) as refused:
        kind(model_of(file), SETTINGS).load()
    return str(refused.value).partition(" attrs: ")[0]  # these come in any order

"""Small graph models are written as TensorFlow.js does, and what is built of them is held against NumPy."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray

from consumer.engines.tensorflow_detection import TensorFlowDetectionEngine
from consumer.engines.tfjs_graph import freeze_tfjs_graph
from framebus.detections import Detections
from framebus.errors import ModelError
from framebus.settings import Settings
from tests.engines import stored_model

Array = NDArray[np.float32]
WriteModel = Callable[..., Path]
BRIGHT = np.full((8, 8, 3), 255, np.uint8)
SHARDS = 3


def tfjs_model(boxes: Array, scores: Array, boxes_name: str) -> tuple[dict[str, Any], bytes]:
    """A graph that finds the same in every picture, as sure as it is bright: its JSON and its weights."""
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.uint8, (None, None, None, 3), name="image_tensor")
        # Pooling has an attribute that is bytes.
        brightness = tf.reduce_max(tf.nn.max_pool2d(tf.cast(image, tf.float32), 2, 2, "VALID"), [1, 2, 3])
        every = tf.reshape(brightness / 255.0, [-1, 1, 1])
        tf.multiply(
            tf.ones_like(every)[:, :, :, tf.newaxis], boxes[np.newaxis, :, np.newaxis], name=boxes_name
        )
        tf.multiply(every, scores[np.newaxis], name="Postprocessor/Slice")
    nodes = graph.as_graph_def().node
    weights, data = [], b""
    for node in nodes:
        if node.op == "Const":
            array = tf.make_ndarray(node.attr["value"].tensor)
            weights.append({"name": node.name, "shape": list(array.shape), "dtype": array.dtype.name})
            data += array.tobytes()
            node.attr["value"].tensor.ClearField("tensor_content")
    topology = {"node": [MessageToDict(node, use_integers_for_enums=True) for node in nodes]}
    for node, written in zip(nodes, topology["node"], strict=True):
        for name, attribute in written.get("attr", {}).items():
            if "s" in attribute:
                attribute["s"] = list(node.attr[name].s)
    paths = [f"group1-shard{number + 1}of{SHARDS}" for number in range(SHARDS)]
    return {"modelTopology": topology, "weightsManifest": [{"paths": paths, "weights": weights}]}, data


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    def write(
        boxes: Sequence[Sequence[float]] | Array,
        scores: Sequence[Sequence[float]] | Array,
        boxes_name: str = "Postprocessor/ExpandDims_1",
        more_data: bytes = b"",
    ) -> Path:
        model, data = tfjs_model(np.asarray(boxes, np.float32), np.asarray(scores, np.float32), boxes_name)
        (tmp_path / "model.json").write_text(json.dumps(model))
        data += more_data
        step = len(data) // SHARDS + 1  # so that weights lie across the files
        for number, path in enumerate(model["weightsManifest"][0]["paths"]):
            (tmp_path / path).write_bytes(data[number * step : (number + 1) * step])
        return tmp_path

    return write


def detect(folder: Path, *images: NDArray[np.uint8]) -> list[Detections]:
    """Builds the graph and runs it by the engine."""
    graph = folder / "graph.pb"
    freeze_tfjs_graph(folder, graph)
    engine = TensorFlowDetectionEngine(replace(stored_model(), graph=graph), Settings())
    engine.load()
    found = engine.detect(images)
    engine.close()
    return found


def suppressed(boxes: Array, scores: Array) -> list[tuple[int, float, tuple[float, ...]]]:
    """Class by class, in double precision: class, score and box of the best hundred, best first."""
    clipped = np.clip(boxes.astype(np.float64), 0, 1)
    areas = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1)
    found = []
    for class_number in range(scores.shape[1]):
        kept: list[int] = []
        for i in np.argsort(-scores[:, class_number]):
            tops_left = np.maximum(clipped[i, :2], clipped[kept, :2])
            common = np.prod(np.maximum(np.minimum(clipped[i, 2:], clipped[kept, 2:]) - tops_left, 0), axis=1)
            if areas[i] > 0 and not (common / (areas[i] + areas[kept] - common) > 0.6).any():
                kept.append(int(i))
        found += [(class_number + 1, float(scores[i, class_number]), tuple(clipped[i])) for i in kept]
    return sorted(found, key=lambda row: -row[1])[:100]


def test_suppresses_what_overlaps_a_better_one_of_its_class(write_model: WriteModel) -> None:
    boxes = [[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.52, 0.5], [0.6, 0.6, 0.9, 0.9]]
    [found] = detect(write_model(boxes, [[0.9, 0.0], [0.8, 0.7], [0.1, 0.0]]), BRIGHT)
    assert found.class_ids.tolist() == [1, 2, 1]
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.1])
    np.testing.assert_allclose(
        found.boxes / 8, [[0.1, 0.1, 0.5, 0.5], [0.1, 0.12, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]]
    )


def test_agrees_with_suppression_class_by_class(write_model: WriteModel) -> None:
    random = np.random.default_rng(7)
    corners = random.uniform(-0.3, 1.1, (150, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0.05, 0.6, (150, 2))], 1).astype(np.float32)
    scores = random.uniform(0, 1, (150, 7)).astype(np.float32)
    wanted = suppressed(boxes, scores)
    assert len(wanted) == 100
    [found] = detect(write_model(boxes, scores), BRIGHT)
    assert found.class_ids.tolist() == [row[0] for row in wanted]
    np.testing.assert_allclose(found.scores, [row[1] for row in wanted], atol=1e-6)
    np.testing.assert_allclose(
        found.boxes / 8, np.array([row[2] for row in wanted])[:, [1, 0, 3, 2]], atol=1e-6
    )


def test_leaves_out_what_lies_outside_the_picture(write_model: WriteModel) -> None:
    boxes = [[1.1, 0.1, 1.5, 0.5], [-0.2, -0.2, 0.5, 0.5]]
    [found] = detect(write_model(boxes, [[0.9], [0.8]]), BRIGHT)
    np.testing.assert_allclose(found.boxes / 8, [[0.0, 0.0, 0.5, 0.5]])


def test_the_pictures_of_a_batch_are_their_own(write_model: WriteModel) -> None:
    folder = write_model([[0.1, 0.1, 0.5, 0.5]], [[0.5, 0.2, 0.4]])
    bright, dark, black = detect(folder, BRIGHT, BRIGHT // 5, np.zeros_like(BRIGHT))
    np.testing.assert_allclose(bright.scores, [0.5, 0.4, 0.2])
    assert bright.class_ids.tolist() == dark.class_ids.tolist() == [1, 3, 2]
    np.testing.assert_allclose(dark.scores, np.array([0.5, 0.4, 0.2]) / 5, rtol=1e-6)
    assert len(black) == 0


def test_is_the_same_to_the_byte_each_time(write_model: WriteModel, tmp_path: Path) -> None:
    folder = write_model([[0.1, 0.1, 0.5, 0.5]], [[0.5]])
    for name in ("one.pb", "other.pb"):
        freeze_tfjs_graph(folder, tmp_path / name)
    assert (tmp_path / "one.pb").read_bytes() == (tmp_path / "other.pb").read_bytes()


def test_loops_are_those_of_tensorflow_1(write_model: WriteModel, tmp_path: Path) -> None:
    tf.enable_control_flow_v2()
    freeze_tfjs_graph(write_model([[0.1, 0.1, 0.5, 0.5]], [[0.5]]), tmp_path / "graph.pb")
    graph_def = tf.GraphDef.FromString((tmp_path / "graph.pb").read_bytes())
    operations = {node.op for node in graph_def.node}
    assert "Enter" in operations
    assert not {
        operation for operation in operations if "While" in operation or operation.startswith("TensorList")
    }
    assert not graph_def.library.function
    assert tf.control_flow_v2_enabled()


def test_refuses_weights_that_are_not_those_of_the_manifest(write_model: WriteModel, tmp_path: Path) -> None:
    folder = write_model([[0.1, 0.1, 0.5, 0.5]], [[0.5]], more_data=b"more")
    with pytest.raises(
        ModelError, match=r"model\.json: .*weights of \d+ bytes, where the manifest has \d+; fetch"
    ):
        freeze_tfjs_graph(folder, tmp_path / "graph.pb")
    assert not (tmp_path / "graph.pb").exists()


def test_refuses_a_graph_of_another_kind(write_model: WriteModel, tmp_path: Path) -> None:
    folder = write_model([[0.1, 0.1, 0.5, 0.5]], [[0.5]], boxes_name="elsewhere")
    with pytest.raises(ModelError, match=r"not the TensorFlow\.js graph model of an SSD: .*ExpandDims_1"):
        freeze_tfjs_graph(folder, tmp_path / "graph.pb")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"modelTopology": {"node": [{"op": 1}]}, "weightsManifest": []}', "\xff"]
)
def test_refuses_what_is_no_graph_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=r"model\.json: not the TensorFlow\.js graph model of an SSD"):
        freeze_tfjs_graph(tmp_path, tmp_path / "graph.pb")

from pathlib import Path

import pytest
import tensorflow.compat.v1 as tf

from consumer.engines.frozen_graph import OUTPUTS, read_frozen_graph
from framebus.errors import ModelError
from tests.graphs import write_graph


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "frozen_inference_graph.pb"


def one_node(name: str, op: str, *inputs: str, **types: int) -> tf.GraphDef:
    node = tf.NodeDef(name=name, op=op, input=inputs)
    for attribute, number in types.items():
        node.attr[attribute].type = number
    return tf.GraphDef(node=[node])


@pytest.mark.parametrize(
    ("shape", "single", "picture_size"),
    [
        ([None, None, None, 3], False, None),
        ([1, None, None, 3], True, None),
        ([None, 512, 640, 3], False, (512, 640)),
        ([1, 300, 300, 3], True, (300, 300)),
        ([None, None, None, None], False, None),
        (None, False, None),
    ],
)
def test_what_the_input_takes_is_read_from_its_shape(
    file: Path, shape: list[int | None] | None, single: bool, picture_size: tuple[int, int] | None
) -> None:
    frozen = read_frozen_graph(write_graph(file, shape=shape))
    assert (frozen.single, frozen.picture_size) == (single, picture_size)


@pytest.mark.parametrize("content", [b"hello, I am no graph", b"\xff\xd8\xff\xe0" + bytes(100)])
def test_another_file_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"not a frozen graph, or cut off .*; copy") as refused:
        read_frozen_graph(file)
    assert str(file) in str(refused.value)


def test_a_graph_that_is_cut_off_is_refused(file: Path) -> None:
    write_graph(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"frozen_inference_graph\.pb: "):
        read_frozen_graph(file)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Is a directory; make it a readable file"):
        read_frozen_graph(tmp_path)


@pytest.mark.parametrize(
    ("graph_def", "reason"),
    [
        (tf.GraphDef(), "a graph without operations"),
        (one_node("a", "NoSuchOp"), f"TensorFlow {tf.__version__} cannot load it: .* 'NoSuchOp'"),
        (one_node("a", "Identity", "gone", T=1), "damaged graph: .*unknown input node 'gone'"),
        (one_node("a", "Identity", "a", T=1), "damaged graph: .*cycle"),
    ],
)
def test_a_graph_that_tensorflow_cannot_import_is_refused(
    file: Path, graph_def: tf.GraphDef, reason: str
) -> None:
    file.write_bytes(graph_def.SerializeToString())
    with pytest.raises(ModelError, match=rf"(?i)frozen_inference_graph\.pb: {reason}.*; .*export it"):
        read_frozen_graph(file)


def test_a_graph_without_the_input_is_refused(file: Path) -> None:
    with pytest.raises(ModelError, match="no input image_tensor; export it"):
        read_frozen_graph(write_graph(file, input_name="pictures"))


@pytest.mark.parametrize(
    "missing",
    [
        ("detection_boxes",),
        ("detection_scores",),
        ("detection_classes",),
        ("num_detections",),
        ("detection_scores", "num_detections"),
    ],
)
def test_missing_outputs_are_named(file: Path, missing: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=f"no output {', '.join(missing)}; export it"):
        read_frozen_graph(write_graph(file, without=missing))


def test_an_output_that_is_no_number_is_refused(file: Path) -> None:
    write_graph(file, outputs={"detection_classes": lambda _: tf.constant([["person", "car"]])})
    with pytest.raises(ModelError, match="detection_classes is string, wanted numbers; export it"):
        read_frozen_graph(file)


@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        ([None, None, None, 3], tf.float32, "image_tensor is float32, wanted uint8"),
        (
            [None, None, None, 1],
            tf.uint8,
            r"shape \(None, None, None, 1\), wanted \(batch, height, width, 3\)",
        ),
        ([4, None, None, 3], tf.uint8, "takes exactly 4 pictures per call"),
        ([None, 512, None, 3], tf.uint8, "only one side of the picture fixed"),
    ],
)
def test_an_input_of_the_wrong_kind_is_refused(
    file: Path, shape: list[int | None], dtype: tf.DType, reason: str
) -> None:
    with pytest.raises(ModelError, match=f"{reason}.*; .*export it"):
        read_frozen_graph(write_graph(file, shape=shape, dtype=dtype))


def test_an_input_that_is_no_batch_of_pictures_is_refused(file: Path) -> None:
    outputs = dict.fromkeys(OUTPUTS, lambda _: tf.constant(0.0))
    with pytest.raises(ModelError, match=r"image_tensor has the shape \(None,\), wanted"):
        read_frozen_graph(write_graph(file, shape=[None], outputs=outputs))

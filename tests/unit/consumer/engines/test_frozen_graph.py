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


def constant(*, dtype: int = 1, shape: tuple[int, ...] = (2,), content: bytes = bytes(8)) -> tf.GraphDef:
    """A constant of two float32, unless told otherwise of its value."""
    node = tf.NodeDef(name="a", op="Const")
    node.attr["dtype"].type = 1
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_content = content
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tf.GraphDef(node=[node])


@pytest.mark.parametrize(
    ("graph_def", "reason"),
    [
        (constant(dtype=23), "a is of two types"),
        (constant(shape=(2**20, 2**20)), "a is to have 1099511627776 values"),
        (constant(shape=(2**24 + 1,)), "a is to have 16777217 values"),
    ],
)
def test_a_constant_that_would_take_the_process_with_it_is_refused(
    file: Path, graph_def: tf.GraphDef, reason: str
) -> None:
    file.write_bytes(graph_def.SerializeToString())
    with pytest.raises(
        ModelError, match=rf"frozen_inference_graph\.pb: damaged graph: {reason}; copy or export"
    ):
        read_frozen_graph(file)


def test_a_constant_of_a_function_is_looked_at_too(file: Path) -> None:
    graph_def = constant()
    graph_def.library.function.add().node_def.add().CopyFrom(constant(dtype=23).node[0])
    file.write_bytes(graph_def.SerializeToString())
    with pytest.raises(ModelError, match="a is of two types"):
        read_frozen_graph(file)


@pytest.mark.parametrize(
    "constant", [constant(), constant(shape=(2**24,), content=b"")], ids=["few", "alike"]
)
def test_a_sound_constant_is_no_reason_to_refuse_a_graph(file: Path, constant: tf.GraphDef) -> None:
    graph_def = tf.GraphDef.FromString(write_graph(file).read_bytes())
    graph_def.node.add().CopyFrom(constant.node[0])
    file.write_bytes(graph_def.SerializeToString())
    assert read_frozen_graph(file).picture_size is None


def test_a_name_without_end_is_not_quoted_to_its_end(file: Path) -> None:
    twice = one_node("x" * 10_000, "NoOp")
    twice.node.add().CopyFrom(twice.node[0])
    file.write_bytes(twice.SerializeToString())
    with pytest.raises(ModelError, match=r"damaged graph: Node 'xxx.*x; copy or export it again") as refused:
        read_frozen_graph(file)
    assert len(str(refused.value)) < 1_000


def test_a_size_that_tensorflow_cannot_compute_with_is_refused(file: Path) -> None:
    fill = constant(shape=(), content=bytes(4))
    fill.node.add(name="dims", op="Placeholder").attr["dtype"].type = 3
    fill.node[1].attr["shape"].shape.dim.add(size=2**31)
    node = fill.node.add(name="fill", op="Fill", input=["dims", "a"])
    node.attr["T"].type, node.attr["index_type"].type = 1, 3
    file.write_bytes(fill.SerializeToString())
    with pytest.raises(ModelError, match=r"damaged graph: Cannot create a tensor .*; copy or export"):
        read_frozen_graph(file)


def test_pictures_too_large_for_any_memory_are_refused(file: Path) -> None:
    with pytest.raises(
        ModelError, match=r"takes pictures of 2147483648x8 pixels, 16777216 is the most; export"
    ):
        read_frozen_graph(write_graph(file, shape=[None, 8, 2**31, 3]))


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

"""Frozen graphs of models: `read_frozen_graph`, that is TensorFlow's import of them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import tensorflow.compat.v1 as tf

from consumer.engines.frozen_graph import read_frozen_graph
from framebus.errors import ModelError
from framebus.model_repository import GRAPH
from tests.graphs import write_graph
from tests.mutation.changes import change
from tests.mutation.targets import Input
from tests.tools import detection_graphs

REFUSALS = (ModelError,)
MOST_BYTES = 2**29

_SIZES = (-2, -1, 0, 1, 2, 255, 65_536, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))
_TYPES = (0, 1, 2, 3, 4, 7, 9, 10, 14, 19, 20, 21, 23, 99, 101, 119, -1)
_OPERATIONS = (
    *("Identity", "Const", "Placeholder", "NoOp", "Reshape", "Pack", "StridedSlice", "Slice", "Tile"),
    *("Shape", "Mean", "Cast", "RealDiv", "Fill", "Range", "ConcatV2", "Squeeze", "ExpandDims"),
    *("Gather", "GatherV2", "While", "If", "PartitionedCall", "Switch", "Merge", "Enter", "Exit"),
    *("NextIteration", "LoopCond", "VariableV2", "_Arg", "_Retval", "_Send", "_Recv", "PyFunc"),
    *("NonMaxSuppressionV3", "Conv2D", "DecodeRaw", "TensorArrayV3", "TensorArraySizeV3", "TopKV2"),
    *("Where", "Split", "SplitV", "Unpack", "QuantizeV2", "NoSuchOperation"),
)
_NAMES = (
    *("", "^a", "a:b", "../a", "a\0b", "größe", "_a", "a/", "x" * 10_000),
    *("image_tensor", "detection_boxes"),
)
_INPUTS = ("", "^", "^image_tensor", ":0", "a:-1", "image_tensor:1", "image_tensor:" + "9" * 30, "gone")


@cache
def sound() -> tuple[bytes, ...]:
    """Small graphs, and one with the loops of real exports, which takes its time: the last."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / GRAPH
        small = [
            write_graph(file, shape=shape).read_bytes() for shape in (None, (None, 8, 8, 3), (1, 8, 8, 3))
        ]
    ssd = next(graph for graph in detection_graphs.GRAPHS if graph.name == "ssd_300")
    return (*small, detection_graphs.build(ssd).SerializeToString(deterministic=True))


def make(random: Random) -> Input:
    data = sound()[-1] if not random.randrange(20) else random.choice(sound()[:-1])
    if not random.randrange(4):
        how, changed = change(data, random)
        return Input(how, changed)
    how = random.choice(tuple(_CHANGES))
    graph = tf.GraphDef.FromString(data)
    for _ in range(random.randint(1, 2)):
        _CHANGES[how](graph, random)
    return Input(how, graph.SerializeToString(deterministic=True))


def read(content: bytes, folder: Path) -> object:
    file = folder / GRAPH
    file.write_bytes(content)
    frozen = read_frozen_graph(file)
    assert frozen.picture_size is None or min(frozen.picture_size) > 0
    return frozen.single, frozen.picture_size, len(frozen.graph.get_operations())


def _attributes(graph: tf.GraphDef) -> list[tf.AttrValue]:
    return [node.attr[name] for node in graph.node for name in sorted(node.attr)]


def _shape(graph: tf.GraphDef, random: Random) -> None:
    shapes = [
        attribute.shape if attribute.HasField("shape") else attribute.tensor.tensor_shape
        for attribute in _attributes(graph)
        if attribute.HasField("shape") or attribute.HasField("tensor")
    ]
    shape = random.choice(shapes)
    match random.randrange(4):
        case 0:
            shape.unknown_rank = True
        case 1:
            shape.dim.add(size=random.choice(_SIZES))
        case _ if shape.dim:
            random.choice(shape.dim).size = random.choice(_SIZES)


def _type(graph: tf.GraphDef, random: Random) -> None:
    attribute = random.choice([one for one in _attributes(graph) if one.HasField("tensor") or one.type])
    if attribute.HasField("tensor"):
        attribute.tensor.dtype = random.choice(_TYPES)
    else:
        attribute.type = random.choice(_TYPES)


def _constant(graph: tf.GraphDef, random: Random) -> None:
    tensor = random.choice([node for node in graph.node if node.op == "Const"]).attr["value"].tensor
    tensor.tensor_content = random.randbytes(random.choice((0, 1, 3, 4, 8, 16, 100)))


def _attribute(graph: tf.GraphDef, random: Random) -> None:
    one, other = random.choice(graph.node), random.choice(graph.node)
    if one.attr and random.randrange(2):
        del one.attr[random.choice(sorted(one.attr))]
    elif other.attr:
        name = random.choice(sorted(other.attr))
        one.attr[name].CopyFrom(other.attr[name])


def _operation(graph: tf.GraphDef, random: Random) -> None:
    random.choice(graph.node).op = random.choice(_OPERATIONS)


def _input(graph: tf.GraphDef, random: Random) -> None:
    node = random.choice(graph.node)
    new = random.choice((*_INPUTS, *(other.name for other in graph.node)))
    if node.input and random.randrange(3):
        node.input[random.randrange(len(node.input))] = new
    else:
        node.input.append(new)


def _name(graph: tf.GraphDef, random: Random) -> None:
    node = random.choice(graph.node)
    node.name = random.choice((*_NAMES, random.choice(graph.node).name))


def _node(graph: tf.GraphDef, random: Random) -> None:
    number = random.randrange(len(graph.node))
    if random.randrange(2):
        graph.node.add().CopyFrom(graph.node[number])
    else:
        del graph.node[number]


def _device(graph: tf.GraphDef, random: Random) -> None:
    random.choice(graph.node).device = random.choice(
        ("/gpu:7", "/job:x/task:9", "CPU", "\0", "/device:NOPE:0")
    )


def _versions(graph: tf.GraphDef, random: Random) -> None:
    graph.versions.producer = random.choice((0, 1, 26, 2**31 - 1, -1))
    graph.versions.min_consumer = random.choice((0, 0, 0, 2**31 - 1))


_CHANGES: dict[str, Callable[[tf.GraphDef, Random], None]] = {
    "shape": _shape,
    "type": _type,
    "constant": _constant,
    "attribute": _attribute,
    "operation": _operation,
    "input": _input,
    "name": _name,
    "node": _node,
    "device": _device,
    "versions": _versions,
}

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.frozen_graph import OUTPUTS
from consumer.engines.graph_cut import CutRefusedError, GraphCut, cut_graph, described, network_graph
from tests.tools import detection_graphs
from tests.tools.detection_graphs import CLASSES, GRAPHS
from tests.unit.consumer.engines.graph_variants import Variant, build
from tests.unit.consumer.engines.same_detections import draw
from tests.unit.consumer.engines.variant_networks import SIZE

ANCHORS = 3 * (4 * 4 + 2 * 2)
CODES = (1, ANCHORS, 4)
LOGITS = (1, ANCHORS, CLASSES + 1)
PICTURE = draw(100, 150)[np.newaxis]


def imported(graph_def: tf.GraphDef) -> tf.Graph:
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    return graph


def values(graph: tf.Graph, names: list[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    with tf.Session(graph=graph) as session:
        found: list[NDArray[np.float32]] = session.run(names, feeds)
        return found


def shapes_of_heads(cut: GraphCut) -> list[tuple[int, ...]]:
    names = [head.name for head in cut.heads]
    return sorted(value.shape for value in values(cut.start.graph, names, {"image_tensor:0": PICTURE}))


def assert_network_gives_the_heads(cut: GraphCut) -> None:
    """Run alone, it makes of the start what the whole graph makes of the picture."""
    names = [head.name for head in cut.heads]
    start, *heads = values(cut.start.graph, [cut.start.name, *names], {"image_tensor:0": PICTURE})
    network = network_graph(cut, start.shape)
    assert len([node for node in network.node if node.op == "Placeholder"]) == 1
    alone = values(imported(network), names, {cut.start.name: start})
    for ours, theirs in zip(alone, heads, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "variant",
    [
        Variant(),
        Variant(control_flow=2),
        Variant(resizing="without a loop"),
        Variant(resizing="with checks"),
        Variant(resizing="align_corners"),
        Variant(resizing="nearest"),
        Variant(normalising="mean, reversed"),
        Variant(normalising="mean, padded"),
        Variant(normalising="standardised"),
        Variant(layers="joined inside"),
        Variant(layers="up again"),
        Variant(layers="of other kinds"),
        Variant(anchors="by shape"),
        Variant(scores="softmax"),
        Variant(scores="read twice"),
        Variant(suppression="at once"),
        Variant(suppression="by number"),
        Variant(suppression="of one picture"),
        Variant(input_shape=(1, None, None, 3)),
        Variant(input_shape=(None, SIZE, SIZE, 3)),
    ],
    ids=str,
)
def test_an_ssd_is_cut_between_resizing_and_decoding(variant: Variant) -> None:
    cut = cut_graph(imported(build(variant)))
    assert cut.is_before_decoding
    kinds = {operation.type for operation in cut.network}
    assert "Conv2D" in kinds
    assert not kinds & {
        "ResizeBilinear",
        "ResizeNearestNeighbor",
        "Exp",
        "NonMaxSuppressionV3",
        "Merge",
        "While",
    }
    if variant.input_shape[1] is None:
        assert shapes_of_heads(cut) == sorted([CODES, LOGITS])
        assert_network_gives_the_heads(cut)


@pytest.mark.parametrize("description", GRAPHS, ids=[graph.name for graph in GRAPHS])
def test_graphs_like_exports(description: detection_graphs.DetectionGraph) -> None:
    graph = imported(detection_graphs.build(description))
    if description.two_stage:
        with pytest.raises(
            CutRefusedError, match=r"^\d+ of \d+ convolutions depend on what was found in the p"
        ):
            cut_graph(graph)
    else:
        cut = cut_graph(graph)
        assert cut.is_before_decoding
        assert [head.op.type for head in cut.heads] == ["ConcatV2", "ConcatV2"]
        assert cut.resize is not None


def test_what_makes_the_picture_larger_after_resizing_belongs_to_the_network() -> None:
    """Some exports subtract a mean and pad before the first layer; its input has another size then."""
    cut = cut_graph(imported(build(Variant(normalising="mean, padded"))))
    assert {"Pad", "Sub"} <= {operation.type for operation in cut.network}
    [start] = values(cut.start.graph, [cut.start.name], {"image_tensor:0": PICTURE})
    assert start.shape == (1, SIZE, SIZE, 3)


@pytest.mark.parametrize(
    "variant",
    [
        Variant(heads="not joined"),
        Variant(heads="of one layer"),
        Variant(scores="by features"),
        Variant(heads="joined after decoding"),
    ],
    ids=str,
)
def test_heads_that_are_not_joined_before_decoding(variant: Variant) -> None:
    """Nothing that computes in less than float32 may run these: it would move boxes."""
    cut = cut_graph(imported(build(variant)))
    assert not cut.is_before_decoding
    assert_network_gives_the_heads(cut)


def test_joins_that_nothing_needs_are_left_out() -> None:
    cut = cut_graph(imported(build(Variant(heads="others too"))))
    graph_def = build(Variant(heads="others too"))
    joins = [node.name for node in graph_def.node if node.op == "ConcatV2"]
    assert len(cut.heads) < len(joins)
    assert_network_gives_the_heads(cut)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        (Variant(resizing="none", anchors="by shape"), "its pictures are not resized"),
        (Variant(resizing="aspect kept", anchors="by shape"), "not all resized to one size, by "),
        (Variant(resizing="aspect kept, padded"), "not all resized to one size, by "),
        (Variant(layers="in a loop"), "7 of 14 convolutions depend on what was found in the picture, "),
        (Variant(layers="by content"), "7 of 14 convolutions depend on what was found in the picture, "),
        (Variant(layers="all in a loop"), "its network starts inside of a loop, from "),
        (Variant(scores="by brightness"), "which is made of the picture too"),
        (Variant(scores="of dark ones halved"), "which is made of the picture too"),
        (Variant(scores="of dark ones halved", control_flow=2), "which is made of the picture too"),
    ],
    ids=lambda value: str(value) if isinstance(value, Variant) else "",
)
def test_graphs_that_cannot_be_cut(variant: Variant, reason: str) -> None:
    with pytest.raises(CutRefusedError, match=reason):
        cut_graph(imported(build(variant)))


def test_a_graph_without_convolutions() -> None:
    graph = tf.Graph()
    with graph.as_default():
        image = tf.placeholder(tf.uint8, (None, None, None, 3), name="image_tensor")
        for name in OUTPUTS:
            tf.identity(tf.cast(image, tf.float32), name=name)
    with pytest.raises(CutRefusedError, match="no convolution depends on the picture"):
        cut_graph(graph)


def test_weights_that_are_made_of_the_picture() -> None:
    graph = tf.Graph()
    with graph.as_default():
        image = tf.placeholder(tf.uint8, (None, None, None, 3), name="image_tensor")
        picture = tf.raw_ops.ResizeBilinear(images=image, size=[8, 8])
        found = tf.nn.conv2d(picture, tf.reshape(picture, [8, 8, 3, 1]), 1, "SAME")
        for name in OUTPUTS:
            tf.identity(found, name=name)
    with pytest.raises(CutRefusedError, match="the weights of Conv2D depend on the picture"):
        cut_graph(graph)


def test_convolutions_that_start_from_several_pictures() -> None:
    graph = tf.Graph()
    with graph.as_default():
        image = tf.placeholder(tf.uint8, (None, None, None, 3), name="image_tensor")
        ones = tf.ones([3, 3, 3, 1])
        found = [
            tf.nn.conv2d(tf.raw_ops.ResizeBilinear(images=image, size=[8, side]), ones, 1, "SAME")
            for side in (8, 16)
        ]
        for name in OUTPUTS:
            tf.concat(found, 2, name=name)
    with pytest.raises(CutRefusedError, match="first convolutions start from 2 tensors: ResizeBilinear:0, "):
        cut_graph(graph)


def test_the_names_of_operations_do_not_matter() -> None:
    graph_def = build(Variant(layers="joined inside"))
    kept = {"image_tensor", *OUTPUTS}
    numbers = random.Random(0).sample(range(len(graph_def.node)), len(graph_def.node))
    names = {
        node.name: node.name if node.name in kept else f"operation_{number}"
        for node, number in zip(graph_def.node, numbers, strict=True)
    }
    cut = cut_graph(imported(graph_def))
    for node in graph_def.node:
        node.name = names[node.name]
        node.attr.pop("_class", None)  # names another node
        for place, tensor in enumerate(node.input):
            name, colon, output = tensor.removeprefix("^").partition(":")
            mark = "^" if tensor.startswith("^") else ""
            node.input[place] = mark + names[name] + colon + output
    renamed = cut_graph(imported(graph_def))
    assert {names[operation.name] for operation in cut.network} == {one.name for one in renamed.network}
    assert {names[head.op.name] for head in cut.heads} == {head.op.name for head in renamed.heads}
    assert names[cut.start.op.name] == renamed.start.op.name


def test_control_edges_do_not_hold_the_network_together() -> None:
    """A check of a picture's shape before the first layer would pull the picture into the network."""
    graph_def = build(Variant())
    nodes = {node.name: node for node in graph_def.node}
    first = cut_graph(imported(graph_def))
    [entry] = [one for one in first.start.consumers() if one in first.network]
    check = graph_def.node.add(name="check", op="Assert", input=["yes", "image_tensor"])
    check.attr["T"].list.type.append(tf.uint8.as_datatype_enum)
    yes = graph_def.node.add(name="yes", op="Const")
    yes.attr["dtype"].type = tf.bool.as_datatype_enum
    yes.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(True))
    nodes[entry.name].input.append("^check")
    cut = cut_graph(imported(graph_def))
    assert {one.name for one in cut.network} == {one.name for one in first.network}
    assert not any(
        name.startswith("^") for node in network_graph(cut, (1, SIZE, SIZE, 3)).node for name in node.input
    )
    assert_network_gives_the_heads(cut)


@pytest.mark.parametrize(
    ("variant", "is_bare"),
    [
        (Variant(), True),
        (Variant(resizing="without a loop"), True),
        (Variant(resizing="with checks"), True),
        (Variant(resizing="half_pixel_centers"), True),
        (Variant(normalising="mean, padded"), True),
        (Variant(resizing="nearest"), False),
        (Variant(resizing="of the middle"), False),
        (Variant(resizing="of small ones otherwise"), False),
        (Variant(resizing="twice"), False),
        (Variant(resizing="two sizes"), False),
        (Variant(resizing="grey"), False),
        (Variant(normalising="standardised"), False),
        *(
            (Variant(resizing=resizing, normalising=normalising, control_flow=version), False)
            for resizing in ("in a loop", "without a loop")
            for normalising in ("dark ones brightened", "dark ones brightened in a function")
            for version in (1, 2)
        ),
    ],
    ids=str,
)
def test_a_resizing_that_may_be_done_elsewhere_is_one_that_looks_at_nothing(
    variant: Variant, is_bare: bool
) -> None:
    assert (cut_graph(imported(build(variant))).resize is not None) == is_bare


def test_the_network_is_described_by_what_there_is_most_of() -> None:
    words = described(cut_graph(imported(build(Variant()))).network)
    assert "9 Conv2D" in words
    assert "Const" not in words


def test_another_seed_is_another_network() -> None:
    """Else, all of this would be tested with the same weights."""
    graphs = [imported(build(Variant(), seed)) for seed in (0, 1)]
    name = cut_graph(graphs[0]).heads[0].name
    first, second = (values(graph, [name], {"image_tensor:0": PICTURE})[0] for graph in graphs)
    assert not np.array_equal(first, second)

"""Cuts a detection graph in three: what makes the network's input, the network itself, and what follows it.

The graph of an SSD is a loop that resizes each picture, then convolutions, then box decoding and the
suppression of overlapping boxes. Nearly all of the time goes into the convolutions, and every runtime can
run those; the rest is loops that hardly any other than TensorFlow runs well. Nothing here knows which runtime
that will be, and nothing relies on the names of operations: exporters give them as they like.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import tensorflow.compat.v1 as tf

from consumer.engines.frozen_graph import INPUT, OUTPUTS
from consumer.engines.graph_walk import SHAPES, downstream, in_loops, is_dynamic, outputs_of, upstream

_CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput"})
# From one picture and constants to one picture: what may stand between resizing and the first convolution.
_PREPARATION = frozenset(
    {
        *("Identity", "Cast", "Mul", "Sub", "Add", "AddV2", "RealDiv", "Div", "BiasAdd", "Neg", "Maximum"),
        *("Minimum", "Pad", "PadV2", "MirrorPad", "ReverseV2", "Reverse"),
    }
)
# What the loop that resizes pictures is made of.
_RESIZING = frozenset(
    {
        *("Cast", "ResizeBilinear", "ExpandDims", "Squeeze", "Identity", "Reshape", "StopGradient"),
        *("Enter", "Exit", "Merge", "Switch", "NextIteration", "LoopCond"),
    }
)


class CutRefusedError(Exception):
    """A graph cannot be cut; in words, why."""


@dataclass(frozen=True, slots=True)
class GraphCut:
    """Where a detection graph is cut.

    Attributes:
        start: The tensor that the network starts from: the resized pictures.
        heads: The tensors that the network ends with.
        network: The operations between them, which may run elsewhere.
        context: Further tensors that what follows the network needs: shapes and ranges. They have to be the
            same for every picture, which only a session can tell.
        resize: The operation that makes `start` of pictures, if nothing else does but one bilinear resizing.
        is_before_decoding: The heads are as the convolutions made them; else boxes are decoded before.
    """

    start: tf.Tensor
    resize: tf.Operation | None
    heads: tuple[tf.Tensor, ...]
    network: frozenset[tf.Operation]
    context: tuple[tf.Tensor, ...]
    is_before_decoding: bool


def cut_graph(graph: tf.Graph) -> GraphCut:
    """Finds the network in a detection graph.

    Raises:
        CutRefusedError: It does not fall into three such parts, as a network with two stages does not.
    """
    picture = graph.get_tensor_by_name(f"{INPUT}:0")
    dependent = downstream([picture])
    on_values = downstream([picture], through_shapes=False)
    convolutions = {operation for operation in dependent if operation.type in _CONVOLUTIONS}
    if not convolutions:
        raise CutRefusedError("no convolution depends on the picture")
    start = _start(convolutions, dependent)
    static = _static_closure(start, dependent)
    if outside := sorted(operation.name for operation in convolutions - static):
        raise CutRefusedError(
            f"{len(outside)} of {len(convolutions)} convolutions depend on what was found in the picture, "
            f"{outside[0]} for one"
        )
    outputs = [graph.get_tensor_by_name(f"{name}:0") for name in OUTPUTS]
    made = downstream(outputs_of(convolutions), through_shapes=False)
    heads = _needed(_joints(made & static, convolutions), outputs)
    is_before_decoding = _separate(heads, outputs, made)
    if not is_before_decoding:
        heads = _needed(_frontier(made & static), outputs)
        if not _separate(heads, outputs, made):
            raise CutRefusedError("what follows the convolutions cannot be told from them")
    context = _context(heads, outputs, dependent)
    if found := sorted(tensor.name for tensor in context if tensor.op in on_values):
        raise CutRefusedError(
            f"what follows the network depends on {found[0]}, which is made of the picture too"
        )
    before = upstream([start], stop=[])
    _check_sizes(before, dependent)
    network = frozenset(upstream(heads, stop=[start]))
    return GraphCut(
        start=start,
        resize=_resize(before, on_values),
        heads=tuple(heads),
        network=network,
        context=tuple(context),
        # The sizes of boxes are coded as logarithms.
        is_before_decoding=is_before_decoding and not any(one.type == "Exp" for one in network),
    )


def network_graph(cut: GraphCut, shape: Sequence[int]) -> tf.GraphDef:
    """Returns the network as a graph of its own, for any runtime.

    Args:
        cut: Where the graph is cut.
        shape: Of its input, which is a placeholder with the name of the operation that `cut.start` comes
            from; the outputs have the names of `cut.heads`.
    """
    start = cut.start.op
    network = tf.GraphDef()
    placeholder = network.node.add(name=start.name, op="Placeholder")
    placeholder.attr["dtype"].type = cut.start.dtype.as_datatype_enum
    for size in shape:
        placeholder.attr["shape"].shape.dim.add(size=size)
    for operation in sorted(cut.network, key=lambda operation: operation.name):
        node = network.node.add()
        node.CopyFrom(operation.node_def)
        # Control edges only order what has side effects: checks of shapes, in these graphs.
        node.input[:] = [tensor for tensor in node.input if not tensor.startswith("^")]
    return network


def _start(convolutions: set[tf.Operation], dependent: set[tf.Operation]) -> tf.Tensor:
    """Walks back from the first convolutions, through constant operations on pictures, to where these end."""
    later = downstream(outputs_of(convolutions))
    starts = {}
    for convolution in convolutions - later:
        pictures = [tensor for tensor in convolution.inputs if tensor.op in dependent]
        if len(pictures) != 1:
            raise CutRefusedError(f"the weights of {convolution.name} depend on the picture")
        tensor = pictures[0]
        while tensor.op.type in _PREPARATION:
            pictures = [one for one in tensor.op.inputs if one.op in dependent or one.op.name == INPUT]
            if len(pictures) != 1:
                break
            tensor = pictures[0]
        starts[tensor.ref()] = tensor
    if len(starts) != 1:
        names = ", ".join(sorted(tensor.name for tensor in starts.values())[:3])
        raise CutRefusedError(f"its first convolutions start from {len(starts)} tensors: {names}")
    [start] = starts.values()
    if start.op.name == INPUT:
        raise CutRefusedError("its pictures are not resized")
    if start.op in in_loops(start.graph):
        raise CutRefusedError(f"its network starts inside of a loop, from {start.name}")
    if start.dtype != tf.float32 or start.name != f"{start.op.name}:0":
        raise CutRefusedError(f"the network starts from {start.name}, {start.dtype.name}")
    return start


def _check_sizes(before: set[tf.Operation], dependent: set[tf.Operation]) -> None:
    """Refuses pictures that keep their aspect: each size of them would be another network."""
    for operation in before:
        if operation.type.startswith("Resize") and operation.inputs[1].op in dependent:
            raise CutRefusedError(f"its pictures are not all resized to one size, by {operation.name}")


def _resize(before: set[tf.Operation], on_values: set[tf.Operation]) -> tf.Operation | None:
    """The resizing, if what the network starts from is made by that alone, whatever is in the picture."""
    resizes = [operation for operation in before if operation.type == "ResizeBilinear"]
    is_conditional = any(
        operation.type == "Switch" and operation.inputs[1].op in on_values for operation in before
    )
    others = {
        operation.type for operation in before & on_values if not operation.type.startswith("TensorArray")
    }
    is_bare = others <= _RESIZING and not is_conditional
    return resizes[0] if len(resizes) == 1 and is_bare else None


def _static_closure(start: tf.Tensor, dependent: set[tf.Operation]) -> set[tf.Operation]:
    """The operations that get the picture through `start` alone, and nothing that was found in it."""
    static: set[tf.Operation] = set()
    waiting = list(start.consumers())
    while waiting:
        operation = waiting.pop()
        if operation in static or is_dynamic(operation):
            continue
        if all(
            tensor is start or tensor.op in static or (tensor.op not in dependent and tensor.op.name != INPUT)
            for tensor in operation.inputs
        ):
            static.add(operation)
            # Also those that were looked at too early.
            waiting += [consumer for output in operation.outputs for consumer in output.consumers()]
    return static


def _joints(made: set[tf.Operation], convolutions: set[tf.Operation]) -> list[tf.Tensor]:
    """The first tensors that join what convolutions made and that no convolution comes after."""
    after = {
        operation: downstream(operation.outputs)
        for operation in made
        if operation.type == "ConcatV2"
        and all(tensor.op in made or tensor.op in convolutions for tensor in operation.inputs[:-1])
    }
    last = {operation: later for operation, later in after.items() if not later & convolutions}
    return outputs_of(joint for joint in last if not any(joint in later for later in last.values()))


def _frontier(made: set[tf.Operation]) -> list[tf.Tensor]:
    """The last tensors that depend on nothing that was found in the picture."""
    return [
        output
        for output in outputs_of(made)
        if any(consumer not in made and consumer.type not in SHAPES for consumer in output.consumers())
    ]


def _needed(tensors: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Those that the outputs are made of, by name; exports keep others that nothing needs."""
    needed = upstream(outputs, stop=tensors)
    return sorted(
        (tensor for tensor in tensors if needed.intersection(tensor.consumers())),
        key=lambda tensor: tensor.name,
    )


def _separate(heads: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor], made: set[tf.Operation]) -> bool:
    """Whether the outputs get what convolutions made through the heads alone.

    Its shape they may get elsewhere: anchors are made for as many cells as a layer has.
    """
    needed = upstream(outputs, stop=heads, through_shapes=False)
    return bool(heads) and not (needed & made) - downstream(heads)


def _context(
    heads: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor], dependent: set[tf.Operation]
) -> list[tf.Tensor]:
    """What else the operations after the heads need, that depends on the picture: to be fed as well."""
    looped = in_loops(outputs[0].graph)
    ends = {head.ref() for head in heads}
    after = downstream(heads)
    context: dict[str, tf.Tensor] = {}
    looked_at: set[tf.Operation] = set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        operation = tensor.op
        if tensor.ref() in ends or (operation not in dependent and operation.name != INPUT):
            continue
        # What is in a loop, or holds one's state, can be neither fetched nor fed: what it is made of can.
        can_be_fed = (
            operation not in looped
            and not is_dynamic(operation)
            and tensor.dtype not in (tf.resource, tf.variant)
        )
        if operation not in after and (can_be_fed or _is_gathered(operation)):
            context[tensor.name] = tensor
        elif operation not in looked_at:
            looked_at.add(operation)
            waiting += list(operation.inputs)
    return list(context.values())


def _is_gathered(operation: tf.Operation) -> bool:
    """What a loop has written, put together after it."""
    kind: str = operation.type
    return kind == "Exit" or kind.startswith(("TensorArrayGather", "TensorArrayConcat"))


def described(operations: Iterable[tf.Operation]) -> str:
    """Says in words what kinds of operations these are, the most frequent first."""
    kinds = Counter(operation.type for operation in operations if operation.type not in ("Const", "Identity"))
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))

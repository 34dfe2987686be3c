"""Walks through a graph: what needs what, what is in a loop, and what depends on what is in a picture."""

from collections.abc import Iterable

import tensorflow.compat.v1 as tf

_DYNAMIC = frozenset(
    {
        *("Enter", "Exit", "Merge", "Switch", "NextIteration", "LoopCond", "While", "StatelessWhile", "If"),
        *("StatelessIf", "PartitionedCall", "StatefulPartitionedCall", "Where", "Unique", "TopK", "TopKV2"),
        *("CropAndResize", "CombinedNonMaxSuppression", "Placeholder", "PyFunc"),
    }
)
_DYNAMIC_FAMILIES = ("TensorArray", "NonMaxSuppression", "Stack", "Queue")
SHAPES = frozenset({"Shape", "ShapeN", "Rank", "Size", "TensorArraySizeV2", "TensorArraySizeV3"})
"""Operations that look at the shape of a tensor, and not at its values."""


def is_dynamic(operation: tf.Operation) -> bool:
    """Whether what comes of it, or how often, depends on what was found in the picture."""
    kind: str = operation.type
    return kind in _DYNAMIC or kind.startswith(_DYNAMIC_FAMILIES)


def outputs_of(operations: Iterable[tf.Operation]) -> list[tf.Tensor]:
    """All the tensors that these operations make."""
    return [output for operation in operations for output in operation.outputs]


def downstream(tensors: Iterable[tf.Tensor], *, through_shapes: bool = True) -> set[tf.Operation]:
    """The operations that need one of these tensors, or, without those of shapes, its values."""
    found: set[tf.Operation] = set()
    waiting = [operation for tensor in tensors for operation in tensor.consumers()]
    while waiting:
        operation = waiting.pop()
        if operation not in found and (through_shapes or operation.type not in SHAPES):
            found.add(operation)
            waiting += [consumer for output in operation.outputs for consumer in output.consumers()]
    return found


def upstream(
    tensors: Iterable[tf.Tensor], stop: Iterable[tf.Tensor], *, through_shapes: bool = True
) -> set[tf.Operation]:
    """The operations that these tensors need, without what only the tensors in `stop` need."""
    ends = {tensor.ref() for tensor in stop}
    found: set[tf.Operation] = set()
    waiting = [tensor for tensor in tensors if tensor.ref() not in ends]
    while waiting:
        operation = waiting.pop().op
        if operation not in found:
            found.add(operation)
            if through_shapes or operation.type not in SHAPES:
                waiting += [tensor for tensor in operation.inputs if tensor.ref() not in ends]
    return found


def in_loops(graph: tf.Graph) -> set[tf.Operation]:
    """The operations between the entries and the exits of loops of TensorFlow 1."""
    found: set[tf.Operation] = set()
    waiting = [operation for operation in graph.get_operations() if operation.type == "Enter"]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            if operation.type != "Exit":
                waiting += [consumer for output in operation.outputs for consumer in output.consumers()]
    return found

"""A model's frozen graph: read, imported, and checked for the inputs and outputs of a detection graph.

Which they are: https://github.com/tensorflow/models/blob/master/research/object_detection/exporter.py
"""

import math
from dataclasses import dataclass
from pathlib import Path

import tensorflow.compat.v1 as tf
from google.protobuf.message import DecodeError

from framebus.errors import ModelError

INPUT = "image_tensor"
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

_EXPORT_AGAIN = (
    "export it with the Object Detection API's export_inference_graph.py --input_type image_tensor"
)
_MAX_QUOTE = 300
# Of a constant whose values are all alike only one need be written; real ones are not nearly so large.
_MAX_REPEATED_VALUES = 2**24
# Every picture is resized to that size, several at once.
_MAX_PICTURE_PIXELS = 2**24


@dataclass(frozen=True, slots=True)
class FrozenGraph:
    """A detection graph, ready for a session.

    Attributes:
        graph: The imported graph.
        single: It takes one picture per call, by its input's static shape.
        picture_size: Height and width in pixels, if it takes pictures of one size only.
    """

    graph: tf.Graph
    single: bool
    picture_size: tuple[int, int] | None


def read_frozen_graph(file: Path) -> FrozenGraph:
    """Reads and checks a frozen detection graph; whether it runs, only a session can tell.

    Raises:
        ModelError: The file is no GraphDef, TensorFlow does not know it, or its input or outputs are wrong.
    """
    graph = tf.Graph()
    try:
        graph_def = tf.GraphDef.FromString(file.read_bytes())
        _check_constants(graph_def, file)
        with graph.as_default():
            tf.import_graph_def(graph_def, name="")
    except OSError as error:
        raise ModelError(f"{file}: {error.strerror}; make it a readable file") from error
    except DecodeError as error:
        raise ModelError(
            f"{file}: not a frozen graph, or cut off (no GraphDef); "
            "copy the exporter's frozen_inference_graph.pb again, not saved_model.pb"
        ) from error
    except tf.errors.NotFoundError as error:
        unknown_op = _in_short(error).partition(" in binary")[0]
        raise ModelError(
            f"{file}: TensorFlow {tf.__version__} cannot load it: {unknown_op}; "
            "export it without custom operations"
        ) from error
    except (ValueError, tf.errors.OpError) as error:
        raise ModelError(f"{file}: damaged graph: {_in_short(error)}; copy or export it again") from error
    _check_operations(graph, file)
    batch, height, width = _input_shape(graph, file)
    return FrozenGraph(graph, single=batch == 1, picture_size=(height, width) if height and width else None)


def _in_short(error: Exception) -> str:
    """The first line of what TensorFlow says; it may quote what it read."""
    return str(error).partition("\n")[0][:_MAX_QUOTE]


def _check_constants(graph_def: tf.GraphDef, file: Path) -> None:
    """Checks what TensorFlow trusts: types, or it aborts the process, and sizes, or it takes all memory."""
    functions = (node for function in graph_def.library.function for node in function.node_def)
    for node in (*graph_def.node, *functions):
        if node.op != "Const":
            continue
        tensor = node.attr["value"].tensor
        size = math.prod(dimension.size for dimension in tensor.tensor_shape.dim)
        if node.attr["dtype"].type != tensor.dtype:
            trouble = "is of two types"
        elif size > max(len(tensor.tensor_content), _MAX_REPEATED_VALUES):
            trouble = f"is to have {size} values"
        else:
            continue
        raise ModelError(
            f"{file}: damaged graph: {node.name[:_MAX_QUOTE]} {trouble}; copy or export it again"
        )


def _check_operations(graph: tf.Graph, file: Path) -> None:
    operations = {operation.name for operation in graph.get_operations() if operation.outputs}
    if not operations:
        raise ModelError(f"{file}: a graph without operations; {_EXPORT_AGAIN}")
    if INPUT not in operations:
        raise ModelError(f"{file}: no input {INPUT}; {_EXPORT_AGAIN}")
    if missing := [name for name in OUTPUTS if name not in operations]:
        raise ModelError(f"{file}: no output {', '.join(missing)}; {_EXPORT_AGAIN}")
    for name in OUTPUTS:
        dtype = graph.get_tensor_by_name(f"{name}:0").dtype
        if not (dtype.is_floating or dtype.is_integer):
            raise ModelError(f"{file}: {name} is {dtype.name}, wanted numbers; {_EXPORT_AGAIN}")


def _input_shape(graph: tf.Graph, file: Path) -> tuple[int | None, int | None, int | None]:
    """Returns batch, height and width of the input; None where any will do."""
    tensor = graph.get_tensor_by_name(f"{INPUT}:0")
    if tensor.dtype != tf.uint8:
        raise ModelError(f"{file}: {INPUT} is {tensor.dtype.name}, wanted uint8; {_EXPORT_AGAIN}")
    if tensor.shape.rank is None:
        return None, None, None
    if tensor.shape.rank != 4 or tensor.shape[3] not in (3, None):
        raise ModelError(
            f"{file}: {INPUT} has the shape {tensor.shape}, wanted (batch, height, width, 3); {_EXPORT_AGAIN}"
        )
    batch, height, width, _ = tensor.shape.as_list()
    if batch not in (1, None):
        raise ModelError(
            f"{file}: {INPUT} takes exactly {batch} pictures per call; "
            "export it with a batch of any size, or of 1"
        )
    if (height is None) != (width is None):
        raise ModelError(
            f"{file}: {INPUT} has the shape {tensor.shape}, with only one side of the picture fixed; "
            "export it with both sides fixed or none"
        )
    if height and width and height * width > _MAX_PICTURE_PIXELS:
        raise ModelError(
            f"{file}: {INPUT} takes pictures of {width}x{height} pixels, {_MAX_PICTURE_PIXELS} is the most; "
            "export it for smaller ones"
        )
    return batch, height, width

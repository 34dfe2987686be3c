"""On a GPU, keeps there what a GPU is good at: the network. The loops before and after it run on the CPU."""

import tensorflow.compat.v1 as tf

from consumer.engines.graph_cut import CutRefusedError, cut_graph
from framebus.settings import TensorFlowSettings

_CPU = "/device:CPU:0"


def has_gpu(settings: TensorFlowSettings) -> bool:
    """Whether a session would run on a GPU."""
    return settings.visible_devices != "" and bool(tf.config.list_physical_devices("GPU"))


def pin_loops_to_cpu(graph: tf.Graph) -> tf.Graph:
    """Returns the graph with all but its network on the CPU.

    Resizing one picture after the other, and suppressing boxes, are many small steps, and each would wait for
    the GPU. A graph whose network cannot be told from the rest is left to TensorFlow.
    """
    try:
        network = {operation.name for operation in cut_graph(graph).network}
    except CutRefusedError:
        return graph
    graph_def = graph.as_graph_def()
    for node in graph_def.node:
        node.device = "" if node.name in network else _CPU
    pinned = tf.Graph()
    with pinned.as_default():
        tf.import_graph_def(graph_def, name="")
    return pinned

"""Which operations stay on the CPU where there is a GPU; what runs on one was not tried without one."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from consumer.engines.frozen_graph import INPUT, OUTPUTS
from consumer.engines.placement import has_gpu, pin_loops_to_cpu
from framebus.settings import TensorFlowSettings
from tests.tools.detection_graphs import GRAPHS, build, pictures


def imported(name: str) -> tf.Graph:
    [description] = [one for one in GRAPHS if one.name == name]
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(build(description), name="")
    return graph


def types_on_cpu(graph: tf.Graph) -> set[str]:
    return {operation.type for operation in graph.get_operations() if "CPU" in operation.device}


def test_the_network_is_left_to_the_gpu_and_the_loops_are_not() -> None:
    on_cpu = types_on_cpu(pin_loops_to_cpu(imported("ssd_300")))

    assert {"ResizeBilinear", "NonMaxSuppressionV3", "TensorArrayReadV3"} <= on_cpu
    assert not {"Conv2D", "DepthwiseConv2dNative", "Relu6"} & on_cpu


def test_a_graph_that_cannot_be_cut_is_left_to_tensorflow() -> None:
    graph = imported("two_stage")

    assert pin_loops_to_cpu(graph) is graph


def test_what_it_finds_stays_the_same() -> None:
    graph = imported("ssd_300")
    batch = np.stack(pictures(2))
    found = []
    for one in (graph, pin_loops_to_cpu(graph)):
        with tf.Session(graph=one) as session:
            found.append(session.run([f"{name}:0" for name in OUTPUTS], {f"{INPUT}:0": batch}))

    for before, after in zip(*found, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_without_a_gpu_nothing_is_pinned() -> None:
    assert not has_gpu(TensorFlowSettings())

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino
import pytest
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.graph_cut import CutRefusedError, cut_graph, network_graph
from consumer.engines.openvino_network import OpenVinoNetwork, available_cores
from tests.unit.consumer.engines.graph_variants import Variant, build
from tests.unit.consumer.engines.variant_networks import SIZE

HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def network_of(variant: Variant) -> tuple[tf.GraphDef, list[str]]:
    """The network alone, and the names of its heads."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(build(variant), name="")
    cut = cut_graph(graph)
    return network_graph(cut, (1, SIZE, SIZE, 3)), [head.name for head in cut.heads]


def heads_of_tensorflow(
    network: tf.GraphDef, names: Sequence[str], picture: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(network, name="")
    [start] = [node.name for node in network.node if node.op == "Placeholder"]
    with tf.Session(graph=graph) as session:
        heads: list[NDArray[np.float32]] = session.run(list(names), {f"{start}:0": picture[np.newaxis]})
    return heads


def picture(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 255, (SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "variant",
    [
        Variant(),
        Variant(normalising="mean, padded"),
        Variant(normalising="by a default"),
        Variant(layers="joined inside"),
        Variant(layers="up again"),
        Variant(layers="of other kinds"),
        Variant(heads="not joined"),
    ],
    ids=str,
)
@pytest.mark.parametrize("threads", [1, 3])
def test_heads_are_those_of_tensorflow(variant: Variant, threads: int) -> None:
    graph, names = network_of(variant)
    network = OpenVinoNetwork(graph, names, "f32", threads)
    for ours, theirs in zip(network(picture()), heads_of_tensorflow(graph, names, picture()), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_heads_come_in_the_order_that_was_asked_for() -> None:
    graph, names = network_of(Variant())
    heads = OpenVinoNetwork(graph, names, "f32", 1)(picture())
    reversed_heads = OpenVinoNetwork(graph, names[::-1], "f32", 1)(picture())
    assert [head.shape for head in heads] == [(1, 60, 4), (1, 60, 4)]
    for head, same in zip(heads, reversed_heads[::-1], strict=True):
        assert np.array_equal(head, same)
    assert not np.array_equal(heads[0], heads[1])


def test_threads_get_each_their_own_results() -> None:
    """Results stay as they are until the same thread calls again, whatever the others do meanwhile."""
    graph, names = network_of(Variant())
    network = OpenVinoNetwork(graph, names, "f32", 2)
    wanted = [[head.copy() for head in network(picture(seed))] for seed in range(6)]
    all_called = threading.Barrier(6)

    def call(seed: int) -> None:
        try:
            for _ in range(10):
                heads = network(picture(seed))
                all_called.wait()
                for ours, theirs in zip(heads, wanted[seed], strict=True):
                    np.testing.assert_allclose(ours, theirs, atol=1e-4)
                all_called.wait()
        except BaseException:
            all_called.abort()  # else the others would wait for this thread
            raise

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(call, range(6)))


def test_the_picture_is_left_as_it_was() -> None:
    graph, names = network_of(Variant())
    before = picture()
    OpenVinoNetwork(graph, names, "f32", 1)(given := before.copy())
    assert np.array_equal(given, before)


def test_an_operation_that_openvino_does_not_know_is_named() -> None:
    graph, names = network_of(Variant())
    for node in graph.node:
        if node.op == "Relu6":
            node.op = "Relu7"
    with pytest.raises(CutRefusedError, match=r"^OpenVINO cannot run it: .*Relu7"):
        OpenVinoNetwork(graph, names, "f32", 1)


def test_a_head_that_is_not_there_is_named() -> None:
    graph, _ = network_of(Variant())
    with pytest.raises(CutRefusedError, match="OpenVINO's network has no elsewhere:0"):
        OpenVinoNetwork(graph, ["elsewhere:0"], "f32", 1)


@pytest.mark.skipif(not HAS_BF16, reason="this CPU does not compute in bf16")
def test_bf16_is_less_precise() -> None:
    graph, names = network_of(Variant())
    exact, rough = (OpenVinoNetwork(graph, names, precision, 1)(picture()) for precision in ("f32", "bf16"))
    for ours, theirs in zip(rough, exact, strict=True):
        off = np.abs(ours - theirs).max()
        assert 1e-4 < off < 0.2 * np.abs(theirs).max()


@pytest.mark.skipif(HAS_BF16, reason="this CPU computes in bf16")
def test_bf16_is_refused_where_it_would_be_slow() -> None:
    graph, names = network_of(Variant())
    with pytest.raises(CutRefusedError, match="this CPU does not compute in bf16"):
        OpenVinoNetwork(graph, names, "bf16", 1)


def test_f32_is_f32_also_where_the_cpu_would_rather_not() -> None:
    graph, names = network_of(Variant())
    heads = OpenVinoNetwork(graph, names, "f32", 1)(picture())
    for ours, theirs in zip(heads, heads_of_tensorflow(graph, names, picture()), strict=True):
        assert np.abs(ours - theirs).max() < 1e-5 * max(1.0, np.abs(theirs).max())


def test_cores_are_those_that_the_process_may_use() -> None:
    assert available_cores() >= 1

"""Runs a network in OpenVINO, on the CPU."""

import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import openvino
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.graph_cut import CutRefusedError

_MAX_REASON = 300


class OpenVinoNetwork:
    """A network for one picture per call, called by several threads at once.

    OpenVINO makes the most of cores that have a picture each: those that share one wait for each other at
    every layer. But while there is only one picture, sharing it is faster than leaving the other cores idle.
    So the network is compiled both ways.

    Args:
        graph: With one placeholder, which takes (1, height, width, 3).
        heads: Names of the tensors to return.
        precision: What it computes in; `bf16` needs a CPU that can.
        threads: Cores that it may use.

    Raises:
        CutRefusedError: OpenVINO cannot run it.
    """

    def __init__(
        self, graph: tf.GraphDef, heads: Sequence[str], precision: Literal["f32", "bf16"], threads: int
    ) -> None:
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise CutRefusedError("this CPU does not compute in bf16")

        def compiled(streams: int) -> openvino.CompiledModel:
            return core.compile_model(
                model,
                "CPU",
                {
                    # Left to itself, it takes whatever is fastest on the CPU, and f32 is what is asked for.
                    "INFERENCE_PRECISION_HINT": precision,
                    "NUM_STREAMS": streams,
                    "INFERENCE_NUM_THREADS": threads,
                    # Several processes would all be pinned to the same cores.
                    "ENABLE_CPU_PINNING": False,
                },
            )

        try:
            model = _read(core, graph, heads)
            self._shared = self._alone = compiled(threads)
            if threads > 1:
                self._alone = compiled(1)
        except RuntimeError as error:
            raise CutRefusedError(f"OpenVINO cannot run it: {_reason(error)}") from error
        self._heads = len(heads)
        self._own = threading.local()
        self._calls = 0
        self._counting = threading.Lock()

    def __call__(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Runs a picture, (height, width, 3); what it returns stays until the thread's next call."""
        with self._counting:
            is_alone = self._calls == 0
            self._calls += 1
        try:
            request = self._request(is_alone)
            request.start_async({0: picture[np.newaxis]}, share_inputs=True)
            request.wait()
        finally:
            with self._counting:
                self._calls -= 1
        return [request.get_output_tensor(number).data for number in range(self._heads)]

    def _request(self, is_alone: bool) -> openvino.InferRequest:
        """One of the thread's own two."""
        name = "alone" if is_alone else "shared"
        request = getattr(self._own, name, None)
        if request is None:
            request = (self._alone if is_alone else self._shared).create_infer_request()
            setattr(self._own, name, request)
        return request


def _read(core: openvino.Core, graph: tf.GraphDef, heads: Sequence[str]) -> openvino.Model:
    with tempfile.TemporaryDirectory(prefix="framebus-") as folder:
        file = Path(folder) / "network.pb"
        file.write_bytes(graph.SerializeToString())
        model = core.read_model(file)
        return openvino.Model([_output(model, name) for name in heads], model.get_parameters())


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _output(model: openvino.Model, name: str) -> openvino.Output:
    for operation in model.get_ops():
        for output in operation.outputs():
            if name in output.get_names():
                return output
    raise CutRefusedError(f"OpenVINO's network has no {name}")


def _reason(error: RuntimeError) -> str:
    """What OpenVINO says in a list, or last, out of many lines that say where in its source it was said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line.removeprefix("-- ") for line in lines if line.startswith("--")] or lines or [repr(error)]
    return told[-1][:_MAX_REASON]

"""Runs the convolutions of a detection graph in OpenVINO, and the rest of it as TensorFlow does."""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import tensorflow.compat.v1 as tf

from consumer.engines.engine import EngineReport
from consumer.engines.frozen_graph import read_frozen_graph
from consumer.engines.graph_cut import CutRefusedError
from consumer.engines.graph_parts import GraphParts
from consumer.engines.openvino_network import OpenVinoNetwork, available_cores
from consumer.engines.tensorflow_detection import (
    PICTURE_ERRORS,
    TensorFlowDetectionEngine,
    checked_detections,
    open_session,
    reason_of,
    refusal,
)
from framebus.detections import Detections
from framebus.errors import DetectionError
from framebus.frames import Image
from framebus.model_repository import StoredModel
from framebus.settings import Settings

NAME = "openvino_detection"

# Boxes that bf16 shifts by less, as a share of the picture's side, are of one object.
_SAME_OBJECT = 0.05
_MAX_REASON = 300


class OpenVinoDetectionEngine:
    """One picture per call, and two calls more at once than there are cores: while these are at their
    convolutions, the next pictures are resized, and boxes made of the last.

    A graph that cannot be cut, or whose parts do not give what the whole gives, runs whole in TensorFlow.
    """

    def __init__(self, model: StoredModel, settings: Settings) -> None:
        self._model = model
        self._settings = settings
        self._threads = settings.openvino.threads or available_cores()
        self._whole: TensorFlowDetectionEngine | None = None
        self._session: tf.Session | None = None
        self._report = EngineReport(NAME)

    @property
    def preferred_batch_size(self) -> int:
        """One picture per call."""
        return 1 if self._whole is None else self._whole.preferred_batch_size

    @property
    def concurrency(self) -> int:
        """Calls at once."""
        return self._threads + 2 if self._whole is None else self._whole.concurrency

    @property
    def device(self) -> str:
        """The CPU."""
        return "CPU" if self._whole is None else self._whole.device

    @property
    def report(self) -> EngineReport:
        """How the graph was cut, or why it was not."""
        return self._report

    def load(self) -> None:
        """Cuts the graph, compiles the network, and compares it with the whole graph on drawn pictures.

        Raises:
            ModelError: Names the graph's file, what is wrong and the remedy.
        """
        try:
            self._load_parts()
        except (CutRefusedError, DetectionError, ValueError) as error:
            # TensorFlow raises ValueError where it takes what its own message quotes for the name of a node.
            self._load_whole(str(error)[:_MAX_REASON])
        except tf.errors.OpError as error:
            self._load_whole(reason_of(error))

    def batch_key(self, image: Image) -> Hashable:
        """Any pictures may share a call, for each is resized alone."""
        return None if self._whole is None else self._whole.batch_key(image)

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:
        """Runs each picture.

        Raises:
            DetectionError: What came out is no number, or the whole graph refused the pictures.
        """
        if self._whole is not None:
            return self._whole.detect(images, least_score)
        return [self._detect(image, least_score) for image in images]

    def close(self) -> None:
        """Frees the memory."""
        if self._whole is not None:
            self._whole.close()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _detect(self, image: Image, least_score: float) -> Detections:
        try:
            heads = self._network(self._parts.prepare(image))
            boxes, scores, classes = self._parts.finish(heads, least_score)
        except PICTURE_ERRORS as error:
            raise refusal(error, 1) from error
        return checked_detections(image, boxes, scores, classes)

    def _load_parts(self) -> None:
        on_cpu = self._settings.tensorflow.model_copy(update={"visible_devices": ""})
        frozen = read_frozen_graph(self._model.graph)
        self._session = open_session(frozen, on_cpu)
        parts = self._parts = GraphParts(frozen, self._session)
        network = self._network = OpenVinoNetwork(parts.network, parts.heads, "f32", self._threads)
        self._report = EngineReport(NAME, parts=parts.describe(), deviations=parts.check(network))
        if self._model.config.precision == "bf16":
            try:
                self._lower_precision(parts)
            except CutRefusedError as error:
                self._report = replace(self._report, fallback=f"f32 instead of bf16: {error}")

    def _lower_precision(self, parts: GraphParts) -> None:
        if not parts.is_before_decoding:
            raise CutRefusedError("boxes are decoded inside of the network, where bf16 would move them")
        self._network = OpenVinoNetwork(parts.network, parts.heads, "bf16", self._threads)
        deviations = parts.deviations(self._network, apart=_SAME_OBJECT)
        self._report = replace(self._report, precision="bf16", deviations=deviations)

    def _load_whole(self, reason: str) -> None:
        self.close()
        self._whole = TensorFlowDetectionEngine(self._model, self._settings)
        self._whole.load()
        self._report = EngineReport(self._whole.report.engine, fallback=reason)

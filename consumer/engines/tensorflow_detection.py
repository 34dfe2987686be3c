"""Runs frozen graphs of the TensorFlow Object Detection API (TensorFlow 1) on current TensorFlow."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import tensorflow.compat.v1 as tf
from numpy.typing import NDArray

from consumer.engines.engine import EngineReport
from consumer.engines.frozen_graph import INPUT, OUTPUTS, FrozenGraph, read_frozen_graph
from consumer.engines.placement import has_gpu, pin_loops_to_cpu
from framebus.detections import Detections
from framebus.errors import DetectionError, ModelError, SettingsError
from framebus.frames import Image
from framebus.logs import get_logger
from framebus.model_repository import StoredModel
from framebus.settings import Settings, TensorFlowSettings

# What a call may raise because of its pictures: the graph refuses their shape or content, or they are too
# many or too large for the memory. Unimplemented, internal and lost-device errors are not the pictures'
# fault: every frame would raise them, so they end the process instead of making dead letters of them all.
PICTURE_ERRORS = (
    tf.errors.InvalidArgumentError,
    tf.errors.OutOfRangeError,
    tf.errors.ResourceExhaustedError,
)

_CONTEXT = ("Graph execution error", "Detected at node", "Node: ", 'File "')
"""How lines of TensorFlow's messages start that come before the reason."""

_MAX_MESSAGE = 500
"""Characters of TensorFlow's messages that are passed on; they may quote the graph."""

_WARM_UP_SIZE = (576, 768)
"""Height and width in pixels. Any will do: what is made ready depends on the number of pictures."""
_SAME_SCORE = 1e-3
"""How far a score may lie from that of the same picture alone; float32 sums differ by about 1e-6."""


class TensorFlowDetectionEngine:
    """One graph in one session; up to `concurrency` threads call it at once.

    Pictures of one size share a call, unless the graph takes one picture at a time.
    """

    def __init__(self, model: StoredModel, settings: Settings) -> None:
        self._model = model
        self._settings = settings.tensorflow
        self._batch_size = self._settings.batch_size
        self._picture_size: tuple[int, int] | None = None
        self._session: tf.Session | None = None
        self._device = "not loaded"

    @property
    def preferred_batch_size(self) -> int:
        """Pictures per call; 1 if the graph takes no more."""
        return self._batch_size

    @property
    def concurrency(self) -> int:
        """Calls at once on the session."""
        return self._settings.concurrency

    @property
    def device(self) -> str:
        """The first GPU that the session has, or `CPU`."""
        return self._device

    @property
    def report(self) -> EngineReport:
        """The whole graph, as it is."""
        return EngineReport("tensorflow_detection")

    def load(self) -> None:
        """Reads and checks the graph, opens the session and runs it once per batch size it will see.

        Raises:
            ModelError: Names the graph's file, what is wrong and the remedy.
            SettingsError: There is no such GPU as the settings name.
        """
        frozen = read_frozen_graph(self._model.graph)
        self._picture_size = frozen.picture_size
        if frozen.single:
            self._batch_size = 1
        if has_gpu(self._settings):
            frozen = replace(frozen, graph=pin_loops_to_cpu(frozen.graph))
        self._session = session = open_session(frozen, self._settings)
        self._run: Callable[[NDArray[np.uint8]], list[NDArray[Any]]] = session.make_callable(
            [f"{name}:0" for name in OUTPUTS], [f"{INPUT}:0"]
        )
        self._device = _device(session, self._settings)
        try:
            self._warm_up()
        except ModelError:
            self.close()
            raise

    def batch_key(self, image: Image) -> Hashable:
        """Pictures of one shape share a call; all do if the graph resizes them to its own anyway."""
        return self._picture_size or image.shape

    def detect(self, images: Sequence[Image], least_score: float = 0.0) -> list[Detections]:  # noqa: ARG002
        """Runs the graph once on all the pictures, or once on each if it takes one at a time.

        Raises:
            DetectionError: The graph refused these pictures, or what it returned is no number.
        """
        step = 1 if self._batch_size == 1 else len(images)
        return [
            detections
            for start in range(0, len(images), step)
            for detections in self._detect_batch(images[start : start + step])
        ]

    def close(self) -> None:
        """Closes the session and frees its memory."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _detect_batch(self, images: Sequence[Image]) -> list[Detections]:
        try:
            boxes, scores, classes, found = self._call(
                np.stack([resized(image, self._picture_size) for image in images])
            )
        except PICTURE_ERRORS as error:
            raise refusal(error, len(images)) from error
        counts = [count_of(count, len(rows)) for count, rows in zip(found, scores, strict=True)]
        return [
            checked_detections(image, *(output[:count] for output in outputs))
            for image, count, *outputs in zip(images, counts, boxes, scores, classes, strict=True)
        ]

    def _call(self, batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Returns boxes (n, m, 4), scores (n, m), classes (n, m), and how many of m are detections (n,)."""
        outputs = self._run(batch)
        check_shapes(outputs, pictures=len(batch))
        return outputs

    def _warm_up(self) -> None:
        file, memory = self._model.graph, "free memory on the device or lower FRAMEBUS_TENSORFLOW__BATCH_SIZE"
        try:
            self._call(self._noise(1))
            if self._batch_size > 1 and not self._takes_batches():
                self._batch_size = 1
                get_logger("consumer").info("model runs one picture at a time", model=self._model.name)
        except tf.errors.ResourceExhaustedError as error:
            raise ModelError(f"{file}: out of memory: {reason_of(error)}; {memory}") from error
        except DetectionError as error:
            raise ModelError(f"{file}: {error}; export it again as a detection model") from error
        except ValueError as error:  # TensorFlow takes what its own message quotes for the name of a node
            raise ModelError(
                f"{file}: damaged graph: {str(error)[:_MAX_MESSAGE]}; copy or export it again"
            ) from error
        except tf.errors.OpError as error:
            raise ModelError(
                f"{file}: TensorFlow {tf.__version__} on {self.device} cannot run it: {reason_of(error)}; "
                "export it again, or try the model on another machine"
            ) from error

    def _takes_batches(self) -> bool:
        """Whether it is so cannot be read from the graph: some exports have a batch of 1 deep inside."""
        pictures = self._noise(self._batch_size)
        try:
            scores_together = self._call(pictures)[1]
        except (tf.errors.InvalidArgumentError, DetectionError):
            return False
        # A graph may also take a batch and look at its first picture only.
        scores_alone = self._call(pictures[-1:])[1]
        return np.allclose(scores_together[-1], scores_alone[0], atol=_SAME_SCORE, equal_nan=True)

    def _noise(self, count: int) -> NDArray[np.uint8]:
        shape = (count, *(self._picture_size or _WARM_UP_SIZE), 3)
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        # Each brighter than the one before, so that no two look alike to the graph.
        darkening = np.arange(count, 0, -1).astype(np.uint16).reshape(-1, 1, 1, 1)
        return (noise // darkening).astype(np.uint8)


def resized(image: Image, picture_size: tuple[int, int] | None) -> Image:
    """Makes a picture as large as the graph's input, where that takes one size (height, width) only."""
    if picture_size is None or image.shape[:2] == picture_size:
        return image
    height, width = picture_size
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def open_session(frozen: FrozenGraph, settings: TensorFlowSettings) -> tf.Session:
    """Opens a session on the device that the settings name.

    Raises:
        SettingsError: There is no such GPU.
    """
    config = tf.ConfigProto(
        # Exports may name the device that they were trained on.
        allow_soft_placement=True,
        intra_op_parallelism_threads=settings.intra_op_threads,
        inter_op_parallelism_threads=settings.inter_op_threads,
        device_count={"GPU": 0} if settings.visible_devices == "" else {},
        gpu_options=tf.GPUOptions(
            allow_growth=settings.gpu_memory_growth, visible_device_list=settings.visible_devices or ""
        ),
    )
    # TensorFlow 1 computed in float32; TF32 keeps 10 bits of a float's 23, and would shift scores unasked.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        session = tf.Session(graph=frozen.graph, config=config)
    except tf.errors.InvalidArgumentError as error:
        raise _no_such_gpu(settings, reason_of(error)) from error
    # TensorFlow leaves out GPUs that it cannot use, and would run on the CPU without a word.
    if settings.visible_devices and _gpu_count(session) <= settings.visible_devices.count(","):
        session.close()
        raise _no_such_gpu(settings, "TensorFlow cannot use it")
    return session


def _no_such_gpu(settings: TensorFlowSettings, reason: str) -> SettingsError:
    there = [gpu.name.rpartition(":")[2] for gpu in tf.config.list_physical_devices("GPU")]
    if there:
        why = f"{reason}; name one of those that are here: {', '.join(there)}"
    elif tf.test.is_built_with_cuda():
        why = "TensorFlow finds none; see what nvidia-smi finds, and install framebus with its extra `gpu`"
    else:
        why = "this TensorFlow is built without CUDA; install framebus with its extra `gpu`, not `cpu`"
    return SettingsError(
        f"no GPU {settings.visible_devices} (--devices, FRAMEBUS_TENSORFLOW__VISIBLE_DEVICES): {why}; "
        "or leave it empty (--devices cpu) to run on the CPU"
    )


def _gpu_count(session: tf.Session) -> int:
    return sum(device.device_type == "GPU" for device in session.list_devices())


def _device(session: tf.Session, settings: TensorFlowSettings) -> str:
    # A session numbers the GPUs that it may use from 0 again.
    first, *_ = (settings.visible_devices or "0").split(",")
    return f"GPU:{first}" if _gpu_count(session) else "CPU"


def checked_detections(
    image: Image, boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any]
) -> Detections:
    """Takes what a graph found in one picture.

    Raises:
        DetectionError: There are values that are no finite numbers.
    """
    for name, output in zip(OUTPUTS, (boxes, scores, classes), strict=False):
        if not np.isfinite(output).all():
            raise DetectionError(f"{name} holds values that are no finite numbers (NaN or infinity)")
    height, width = image.shape[:2]
    return Detections.from_normalised(boxes, scores, classes, width=width, height=height)


def check_shapes(outputs: Sequence[NDArray[Any]], pictures: int) -> None:
    """Checks what a graph returned: boxes (n, m, 4), scores (n, m), classes (n, m), and counts (n,).

    Raises:
        DetectionError: Some are of other shapes.
    """
    boxes, *_ = outputs
    m = boxes.shape[1] if boxes.ndim == 3 else 0
    shapes = [output.shape for output in outputs]
    if shapes != [(pictures, m, 4), (pictures, m), (pictures, m), (pictures,)]:
        described = ", ".join(f"{name} {shape}" for name, shape in zip(OUTPUTS, shapes, strict=True))
        raise DetectionError(f"the outputs for {_count(pictures)} have the shapes {described}")


def count_of(found: np.number[Any], most: int) -> int:
    """Of a picture's rows so many are detections, the first ones; the rest is padding.

    Raises:
        DetectionError: It is no number.
    """
    if not np.isfinite(found):
        raise DetectionError(f"num_detections is {found}, not a number of detections")
    return int(np.clip(found, 0, most))


def refusal(error: tf.errors.OpError, pictures: int) -> DetectionError:
    """Says what the graph has against pictures."""
    return DetectionError(f"the graph refused {_count(pictures)}: {reason_of(error)}")


def reason_of(error: tf.errors.OpError) -> str:
    """The line that says what went wrong, out of many that say where in Python the graph was built."""
    lines = [line.strip() for line in error.message.splitlines()]
    reason = next((line for line in lines if line and not line.startswith(_CONTEXT)), type(error).__name__)
    whole = f"{reason} (node {error.node_def.name})" if error.node_def is not None else reason
    return whole[:_MAX_MESSAGE]


def _count(pictures: int) -> str:
    return "one picture" if pictures == 1 else f"{pictures} pictures"

"""A loaded model with its engine and the thresholds in force."""

from collections.abc import Hashable, Sequence

from consumer.engines.engine import DetectionEngine
from framebus.detections import Detections, Thresholds
from framebus.errors import DetectionError
from framebus.frames import Image
from framebus.model_repository import StoredModel
from framebus.wire import ModelInForce


class ModelHost:
    """Holds a model and what is in force for it; thresholds may change while frames run.

    Args:
        model: As it stands in the repository.
        engine: Its engine, loaded.
    """

    def __init__(self, model: StoredModel, engine: DetectionEngine) -> None:
        self._engine = engine
        self._in_force = ModelInForce(model.name, model.version, model.thresholds, model.labels)

    @property
    def in_force(self) -> ModelInForce:
        """The model's name, version, labels and thresholds as of now."""
        return self._in_force

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Changes what counts as a detection, from the next engine call on."""
        self._in_force = ModelInForce(
            self._in_force.name, self._in_force.version, thresholds, self._in_force.labels
        )

    @property
    def batch_size(self) -> int:
        """Pictures per call that the engine likes best."""
        return self._engine.preferred_batch_size

    @property
    def concurrency(self) -> int:
        """Calls at once that the engine takes."""
        return self._engine.concurrency

    def batch_key(self, image: Image) -> Hashable:
        """Pictures with equal keys may share a call."""
        return self._engine.batch_key(image)

    def detect(self, images: Sequence[Image]) -> list[Detections | DetectionError]:
        """Runs the engine once; if that fails, once for each picture alone.

        Returns:
            For each picture its detections that pass the thresholds, or why it alone cannot be processed.
        """
        thresholds = self._in_force.thresholds
        try:
            return [detections.keep(thresholds) for detections in self._engine.detect(images)]
        except DetectionError as error:
            if len(images) == 1:
                return [error]
        return [result for image in images for result in self.detect([image])]

"""Models by name or uuid, and what their folders say."""

import asyncio
import re
import uuid
from collections.abc import Collection
from pathlib import Path

from control_api.problems import ModelNotFoundError, UnavailableError
from control_api.workers import Workers
from framebus import label_map
from framebus.errors import ModelError
from framebus.label_map import read_label_map
from framebus.logs import get_logger
from framebus.model_config import ModelConfig, read_model_config
from framebus.model_repository import ModelRepository

log = get_logger("api")

_MODELS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:framebus:models")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def model_uuid(name: str) -> str:
    """A model's id: made of its name, so that every replica gives the same, today and tomorrow."""
    return str(uuid.uuid5(_MODELS, name))


def label_uuid(model: str, label: str) -> str:
    """A label's id: made of its model's name and its own."""
    return str(uuid.uuid5(uuid.UUID(model_uuid(model)), label))


class Models:
    """The models there are: those with a folder, and those that a worker still has.

    Args:
        directory: The models directory.
        workers: Who may have a model whose folder is gone.
    """

    def __init__(self, directory: Path, workers: Workers) -> None:
        self._repository = ModelRepository(directory)
        self._workers = workers

    def names(self) -> list[str]:
        """All of them, sorted.

        Raises:
            UnavailableError: The models directory cannot be read.
        """
        return sorted({*self._folders(), *self._workers.models()})

    def resolve(self, name_or_uuid: str) -> str:
        """The name of a model.

        Raises:
            ModelNotFoundError: There is no such model.
            UnavailableError: The models directory cannot be read.
        """
        # No path is ever made of what a client sent: it has to equal a name that was listed.
        for list_names in (self._workers.models, self.names):
            if (name := _find(name_or_uuid, list_names())) is not None:
                return name
        raise ModelNotFoundError

    async def resolve_soon(self, name_or_uuid: str) -> str:
        """The same, at once where a worker has the model, and else on a thread, for that reads the disk."""
        name = _find(name_or_uuid, self._workers.models())
        return await asyncio.to_thread(self.resolve, name_or_uuid) if name is None else name

    def labels(self, name: str) -> list[str]:
        """A model's labels in the order of their class ids.

        Raises:
            ModelNotFoundError: It has no folder.
            ModelError: Its label map is wrong.
        """
        return list(read_label_map(self._folder(name) / label_map.FILE_NAME).values())

    def config(self, name: str) -> ModelConfig:
        """A model's config.json.

        Raises:
            ModelNotFoundError: It has no folder.
            ModelError: It is wrong.
        """
        return read_model_config(self._folder(name))

    def _folder(self, name: str) -> Path:
        if name not in self._folders():
            raise ModelNotFoundError
        return self._repository.directory / name

    def _folders(self) -> list[str]:
        try:
            return self._repository.names()
        except ModelError as error:
            # Which folder of which machine is nobody's business but the operator's.
            log.error("models cannot be listed", error=str(error))
            raise UnavailableError(
                "the models directory cannot be read; the log of the control API says why"
            ) from error


def _find(name_or_uuid: str, names: Collection[str]) -> str | None:
    if name_or_uuid in names:
        return name_or_uuid
    if not _UUID.fullmatch(wanted := name_or_uuid.lower()):
        return None
    return next((name for name in names if model_uuid(name) == wanted), None)

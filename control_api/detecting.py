"""From uploaded files to detection messages."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import UploadFile

from control_api.access import Scope
from control_api.bounding_boxes import bounding_boxes
from control_api.plane import ControlPlane
from control_api.problems import InvalidInputError, TooLargeError
from control_api.uploads import read_picture

# So many pictures of one batch are at a worker at once: enough to fill its batches, and few in memory here.
_PICTURES_PER_WORKER = 16


async def detect_one(
    plane: ControlPlane, model: str, scope: Scope, file: UploadFile
) -> tuple[bytes, Mapping[str, Any]]:
    """Has a worker find the objects in one picture.

    Args:
        plane: The parts of the API.
        model: The model's name or uuid.
        scope: What the client may do.
        file: A JPEG, PNG or WebP file.

    Returns:
        The picture, and its detection message.

    Raises:
        ApiError: The picture, the model or the workers do not allow it.
    """
    name = await plane.models.resolve_soon(model)
    picture = await read_picture(file, plane.settings.api)
    await plane.control.load_somewhere(name, may_load=scope >= Scope.ADMIN)
    return picture, await plane.predictions.predict(name, picture)


async def detect_many(
    plane: ControlPlane, model: str, scope: Scope, files: Sequence[UploadFile]
) -> list[Mapping[str, Any]]:
    """Has all workers find the objects in pictures, many at once.

    Returns:
        For each picture in order its boxes, or the `error` that it alone has; and its name.

    Raises:
        ApiError: The model or the workers do not allow it.
    """
    name = await plane.models.resolve_soon(model)
    await plane.control.load_somewhere(name, may_load=scope >= Scope.ADMIN)
    at_once = asyncio.Semaphore(_PICTURES_PER_WORKER * max(len(plane.workers.with_model(name)), 1))

    async def detect(file: UploadFile) -> Mapping[str, Any]:
        async with at_once:
            try:
                picture = await read_picture(file, plane.settings.api)
                boxes = bounding_boxes(await plane.predictions.predict(name, picture))
            except (InvalidInputError, TooLargeError) as error:
                return {"error": str(error), "ImageName": file.filename}
        return {**boxes, "ImageName": file.filename}

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(detect(file)) for file in files]
    except ExceptionGroup as failed:
        # The first that failed has stopped the others.
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]

"""Forms: pictures and model names as clients send them.

Forms are read here and not by FastAPI, so that no picture is taken of a client that may not send any.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from control_api.problems import InvalidFormError, TooLargeError, picture_problem
from framebus import images
from framebus.errors import FrameError
from framebus.settings import ApiSettings

_MAX_FIELDS = 20
_MAX_FIELD_BYTES = 16 * 1024

# Swagger UI shows a list of files as such only with `format: binary`, which OpenAPI 3.1 passes over.
FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
FILES = {"type": "array", "items": FILE, "minItems": 1}
MODEL = {"type": "string", "description": "name or uuid of a model", "examples": ["pedestrian"]}


def form_body(**fields: Any) -> dict[str, Any]:
    """What OpenAPI says of a form, all of whose fields are required."""
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@asynccontextmanager
async def read_form(request: Request, *, max_files: int = 0) -> AsyncIterator[FormData]:
    """Reads a form; its files are on disk where they are large, and gone when the block ends.

    Raises:
        InvalidFormError: It is none, or has too many fields or files.
        TooLargeError: It is longer than its endpoint allows.
    """
    reading = request.form(max_files=max_files, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES)
    try:
        form = await reading
    except HTTPException as error:
        raise InvalidFormError(error.detail) from error
    except ClientDisconnect as error:
        raise InvalidFormError("the client went away before all of the form was there") from error
    try:
        yield form
    finally:
        await form.close()


def text_field(form: FormData, name: str) -> str:
    """A field of a form that is no file.

    Raises:
        InvalidFormError: It is missing, or a file.
    """
    value = form.get(name)
    if not isinstance(value, str):
        raise InvalidFormError(f"the form has no field `{name}`")
    return value


def files(form: FormData, name: str) -> Sequence[UploadFile]:
    """The files of a form's field; at least one.

    Raises:
        InvalidFormError: There is none, or text in its place.
    """
    values = form.getlist(name)
    found = [value for value in values if isinstance(value, UploadFile)]
    if not found or len(found) < len(values):
        raise InvalidFormError(
            f"the form has no file `{name}`; send it with a filename, as multipart/form-data"
        )
    return found


async def read_picture(file: UploadFile, settings: ApiSettings) -> bytes:
    """Reads a picture, and refuses by its size and header what no worker should see.

    Raises:
        TooLargeError: More bytes or pixels than the limits allow.
        InvalidInputError: It is no picture.
    """
    if (file.size or 0) > settings.max_image_bytes:
        raise TooLargeError(
            f"the picture has {file.size} bytes, and {settings.max_image_bytes} are the most "
            "(FRAMEBUS_API__MAX_IMAGE_BYTES)"
        )
    data = await file.read()
    try:
        width, height = images.size(data)
    except FrameError as error:
        raise picture_problem(error) from error
    if width * height > settings.max_image_pixels:
        raise TooLargeError(
            f"the picture has {width}x{height} pixels, and {settings.max_image_pixels} are the most "
            "(FRAMEBUS_API__MAX_IMAGE_PIXELS)"
        )
    return data

"""`/models/{model}/predict...`: objects in pictures."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from control_api.access import Read
from control_api.bounding_boxes import bounding_boxes
from control_api.detecting import detect_many, detect_one
from control_api.drawing import draw_boxes
from control_api.plane import Plane
from control_api.routes.answers import PREDICTING, enveloped
from control_api.routes.parameters import ModelName
from control_api.schemas import BatchBoxes, BatchError, BoundingBoxes, Success
from control_api.uploads import FILE, FILES, files, form_body, read_form

_FORMATS = ("image/jpeg", "image/png", "image/webp")
_DRAWN = {
    "description": "The picture with boxes drawn, in the format it came in.",
    "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _FORMATS},
}

router = APIRouter(prefix="/models/{model}", tags=["detect"], responses=PREDICTING)


@router.post("/predict", response_model=Success[BoundingBoxes], openapi_extra=form_body(input_data=FILE))
async def predict(request: Request, model: ModelName, plane: Plane, scope: Read) -> Response:
    """Find the objects in a picture (JPEG, PNG or WebP).

    A model that is not loaded yet is loaded first, on every worker and for good; where tokens are set, that
    takes the admin's.
    """
    async with plane.predictions.admitted(), read_form(request, max_files=1) as form:
        [file] = files(form, "input_data")
        _, message = await detect_one(plane, model, scope, file)
    return enveloped(bounding_boxes(message))


@router.post(
    "/predict_image",
    response_class=Response,
    responses={200: _DRAWN},
    openapi_extra=form_body(input_data=FILE),
)
async def predict_image(request: Request, model: ModelName, plane: Plane, scope: Read) -> Response:
    """Draw a box around each object in a picture."""
    max_pixels = plane.settings.api.max_image_pixels
    async with plane.predictions.admitted(), read_form(request, max_files=1) as form:
        [file] = files(form, "input_data")
        picture, message = await detect_one(plane, model, scope, file)
        drawn, content_type = await asyncio.to_thread(draw_boxes, picture, message, max_pixels)
    return Response(drawn, media_type=content_type)


@router.post(
    "/predict_batch",
    response_model=Success[list[BatchBoxes | BatchError]],
    openapi_extra=form_body(input_data=FILES),
)
async def predict_batch(request: Request, model: ModelName, plane: Plane, scope: Read) -> Response:
    """Find the objects in several pictures; the answers are in the order of the files.

    A picture that cannot be processed has an `error` in place of its boxes, and the others are not concerned.
    """
    max_images = plane.settings.api.max_images
    async with plane.predictions.admitted(), read_form(request, max_files=max_images) as form:
        return enveloped(await detect_many(plane, model, scope, files(form, "input_data")))

"""`/load`, `/detect` and `/get_labels`: answers without an envelope, for clients that know models by uuid."""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from control_api.access import Admin, Read
from control_api.bounding_boxes import bounding_boxes
from control_api.detecting import detect_one
from control_api.models import label_uuid, model_uuid
from control_api.plane import Plane
from control_api.problems import (
    InvalidFormError,
    ModelConflictError,
    ScopeError,
    TokenError,
    TooLargeError,
    UnavailableError,
    documented,
)
from control_api.routes.answers import OF_A_MODEL, PREDICTING, bare
from control_api.schemas import BoundingBoxes
from control_api.uploads import FILE, MODEL, files, form_body, read_form, text_field

router = APIRouter()


def _example(uuids: dict[str, str]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": uuids}}}}


_LOADING = {
    **documented(TokenError, ScopeError, ModelConflictError, UnavailableError),
    **_example({"pedestrian": model_uuid("pedestrian")}),
}


@router.get("/load", tags=["models"], response_model=dict[str, str], responses=_LOADING)
@router.post("/load", tags=["models"], response_model=dict[str, str], responses=_LOADING)
async def load_all(plane: Plane, _: Admin) -> Response:
    """Load every model on every worker, wait for it, and answer with the models' uuids.

    A model that cannot be loaded does not concern the others: `GET /models` says why. The answer is an error
    only if none can be loaded.
    """
    return bare({name: model_uuid(name) for name in await plane.control.load_all()})


@router.post(
    "/detect",
    tags=["detect"],
    response_model=BoundingBoxes,
    responses=PREDICTING,
    openapi_extra=form_body(model=MODEL, image=FILE),
)
async def detect(request: Request, plane: Plane, scope: Read) -> Response:
    """Find the objects in a picture; the same as `/models/{model}/predict`, without the envelope."""
    async with plane.predictions.admitted(), read_form(request, max_files=1) as form:
        model = text_field(form, "model")
        [file] = files(form, "image")
        _, message = await detect_one(plane, model, scope, file)
    return bare(bounding_boxes(message))


@router.post(
    "/get_labels",
    tags=["models"],
    response_model=dict[str, str],
    responses={
        **OF_A_MODEL,
        **documented(TooLargeError, InvalidFormError),
        **_example({"person": label_uuid("pedestrian", "person")}),
    },
    openapi_extra=form_body(model=MODEL),
)
async def get_labels(request: Request, plane: Plane, _: Read) -> Response:
    """A model's labels and their uuids, whether it is loaded or not."""
    async with read_form(request) as form:
        model = text_field(form, "model")
    name = await plane.models.resolve_soon(model)
    labels = await asyncio.to_thread(plane.models.labels, name)
    return bare({label: label_uuid(name, label) for label in labels})

"""`/models`: which there are, which the workers run, and their configuration."""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from control_api.access import Admin, Read
from control_api.plane import Plane
from control_api.problems import TooLargeError, documented
from control_api.routes.answers import CHANGING, OF_A_MODEL, READING, enveloped
from control_api.routes.parameters import ModelName
from control_api.schemas import ConfigPatch, ModelConfigInForce, ModelList, Success
from framebus.control import Overrides

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", name="models", response_model=Success[ModelList], responses=READING)
def list_models(plane: Plane, _: Read) -> Response:
    """Every model, and what each worker says of it."""
    names = plane.models.names()
    details = {name: plane.views.details(name).model_dump(mode="json") for name in names}
    return enveloped({"models": names, "details": details})


@router.get("/{model}/load", response_model=Success[None], responses=CHANGING)
@router.post("/{model}/load", response_model=Success[None], responses=CHANGING)
async def load(model: ModelName, plane: Plane, _: Admin, force: bool = False) -> Response:
    """Load a model on every worker, now and whenever one starts, and wait until all have it.

    With `force`, one that is loaded is loaded anew from its folder, beside the one that serves; if that
    fails, the old one goes on serving, and the answer says why.
    """
    await plane.control.load(await plane.models.resolve_soon(model), force=force)
    return enveloped(None)


@router.post("/{model}/unload", response_model=Success[None], responses=CHANGING)
async def unload(model: ModelName, plane: Plane, _: Admin) -> Response:
    """Take a model from every worker; 409 if frames of a topic go through it."""
    await plane.control.unload(await plane.models.resolve_soon(model))
    return enveloped(None)


@router.get("/{model}/labels", response_model=Success[list[str]], responses=OF_A_MODEL)
def labels(model: ModelName, plane: Plane, _: Read) -> Response:
    """A model's labels in the order of their class ids, whether it is loaded or not."""
    return enveloped(plane.models.labels(plane.models.resolve(model)))


@router.get("/{model}/config", response_model=Success[ModelConfigInForce], responses=OF_A_MODEL)
def config(model: ModelName, plane: Plane, _: Read) -> Response:
    """A model's config.json as it is in force; `overridden` names the keys that do not come from the file."""
    return enveloped(plane.views.config(plane.models.resolve(model)))


@router.patch(
    "/{model}/config",
    name="config",
    response_model=Success[ModelConfigInForce],
    responses={**CHANGING, **documented(TooLargeError)},
)
async def patch_config(model: ModelName, body: ConfigPatch, plane: Plane, _: Admin) -> Response:
    """Override thresholds on every worker, and wait until they are in force; null: as in config.json."""
    name = await plane.models.resolve_soon(model)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    await plane.control.override(name, Overrides(**changes))
    return enveloped(await asyncio.to_thread(plane.views.config, name))

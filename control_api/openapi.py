"""The description of the API that `/docs` shows and generated clients are made of."""

from collections.abc import Iterator
from importlib import metadata
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from control_api import schemas
from control_api.access import ADMIN_SCHEME, READ_SCHEME, Access, Scope

_TITLE = "framebus"
_DESCRIPTION = """\
Object detection in pictures, and control of the models that detect. Existing clients of the *Tensorflow GPU
Inference API* work unchanged.

Wherever a model is named, its uuid will do too; it is made of the name, so it never changes. Answers are
wrapped as `{"data": ..., "error": "", "success": true}`, but for `/load`, `/detect` and `/get_labels`.
Confidence is in percent, coordinates are whole pixels of the picture as it was sent. Every answer has an
`X-Request-ID`, which the logs name too.
"""
_TAGS = [
    {"name": "detect", "description": "Find objects in pictures."},
    {"name": "models", "description": "Which models there are, and which the workers run."},
    {"name": "workers", "description": "Who does the work."},
    {"name": "access", "description": "A browser's way to use a token."},
    {"name": "health", "description": "For load balancers and monitoring."},
]
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "FRAMEBUS_API__ADMIN_TOKEN, or FRAMEBUS_API__READ_TOKEN for what changes nothing",
}


def operation_id(route: APIRoute) -> str:
    """What generated clients call an endpoint, e.g. `post_predict`."""
    return f"{min(route.methods or ()).lower()}_{route.name}"


def describe(app: FastAPI, access: Access) -> None:
    """Makes the app describe itself.

    Args:
        app: The app, with all its routes.
        access: Tells which endpoints need a token at all.
    """
    scopes = {READ_SCHEME: Scope.READ, ADMIN_SCHEME: Scope.ADMIN}
    closed = {name for name, scope in scopes.items() if scope > access.of_all}

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = get_openapi(
                title=_TITLE,
                version=metadata.version("framebus"),
                description=_DESCRIPTION,
                tags=_TAGS,
                routes=app.routes,
            )
            components = description["components"]
            del components["securitySchemes"]
            if closed:
                components["securitySchemes"] = {"token": _TOKEN}
            for operation in _operations(description):
                _describe_token(operation, closed)
                _describe_answers(operation)
                operation["summary"], _, operation["description"] = operation["description"].partition("\n\n")
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
            _restore_examples(components["schemas"])
            app.openapi_schema = description
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _operations(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in description["paths"].values():
        yield from path.values()


def _describe_token(operation: dict[str, Any], closed: set[str]) -> None:
    schemes = {name for one in operation.pop("security", []) for name in one}
    if schemes & closed:
        operation["security"] = [{"token": []}]


def _describe_answers(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    for status, response in list(responses.items()):
        for content in response.get("content", {}).values():
            # FastAPI adds its own validation error to all that has a parameter; a name can be any string.
            if content.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
                del responses[status]
            # It leaves out what is null.
            if content.get("example", {}).get("success") is False:
                content["example"] = {"data": None, **content["example"]}


def _restore_examples(described: dict[str, Any]) -> None:
    """Puts in again what FastAPI left out of the examples because it is null."""
    for name, model in vars(schemas).items():
        if name in described and isinstance(model, type) and issubclass(model, BaseModel):
            extra = model.model_config.get("json_schema_extra")
            if isinstance(extra, dict):
                described[name] |= extra

"""How endpoints answer."""

from typing import Any

import orjson
from starlette.responses import Response

from control_api.problems import (
    InvalidFormError,
    InvalidInputError,
    ModelConflictError,
    ModelNotFoundError,
    ScopeError,
    TokenError,
    TooLargeError,
    TooManyRequestsError,
    UnavailableError,
    documented,
)

READING = documented(TokenError, UnavailableError)
OF_A_MODEL = documented(TokenError, ModelNotFoundError, ModelConflictError, UnavailableError)
CHANGING = documented(
    TokenError, ScopeError, ModelNotFoundError, ModelConflictError, InvalidFormError, UnavailableError
)
PREDICTING = documented(
    InvalidInputError,
    TokenError,
    ModelNotFoundError,
    ModelConflictError,
    TooLargeError,
    InvalidFormError,
    TooManyRequestsError,
    UnavailableError,
)


def bare(data: Any) -> Response:
    """Answers with the data alone."""
    return Response(orjson.dumps(data), media_type="application/json")


def enveloped(data: Any) -> Response:
    """Answers with the envelope of what went well."""
    return bare({"data": data, "error": "", "success": True})

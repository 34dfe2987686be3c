"""What goes wrong, as HTTP: the only place that knows which error has which status and which words.

The words before a colon are those that clients of the old service match on.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from control_api.schemas import Failure
from framebus.errors import FramebusError, FrameError, FrameTooLargeError, ModelError, TransportError

PROBLEM_SCOPE_KEY = "framebus.problem"
"""Where the log line of a request finds what went wrong with it."""

_NOT_FOUND = "Model not found"
_BROKEN_CONFIG = "Invalid model configuration: "
_NO_ENGINE = "Inference engine not found: "


class ApiError(FramebusError):
    """A request is answered with an error. Every status has a class of its own.

    Attributes:
        status: The HTTP status.
        meaning: When it is answered, for the documentation.
        example: What the envelope's `error` may say.
        is_new: The old service knew nothing like it, so its status stays what it is with `legacy_status`.
        headers: HTTP headers that go with it.
    """

    status: ClassVar[int]
    meaning: ClassVar[str]
    example: ClassVar[str]
    is_new: ClassVar[bool] = False
    headers: ClassVar[Mapping[str, str]] = {}


class InvalidInputError(ApiError):
    """What was sent is no picture, or the model cannot process it."""

    status = 400
    meaning = "The picture cannot be decoded or processed."
    example = "Invalid input data: not a JPEG, PNG or WebP image: the value starts with 68 65 6c 6c 6f"

    def __init__(self, why: str) -> None:
        super().__init__(f"Invalid input data: {why}")


class TokenError(ApiError):
    """A token is set, and none or a wrong one was sent."""

    status = 401
    meaning = "A token is needed, and none or a wrong one was sent."
    example = "this needs a token: send it as `Authorization: Bearer <token>`, or log in"
    is_new = True
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class ScopeError(ApiError):
    """The token is right, and does not allow this."""

    status = 403
    meaning = "The token does not allow this."
    example = "this needs the admin token"
    is_new = True


class ModelNotFoundError(ApiError):
    """There is no such model."""

    status = 404
    meaning = "There is no such model."
    example = _NOT_FOUND

    def __init__(self) -> None:
        super().__init__(_NOT_FOUND)


class ModelConflictError(ApiError):
    """The model cannot be had in the state that the request needs."""

    status = 409
    meaning = "The model failed to load, is not loaded, or its state does not allow this."
    example = "Error loading model: the graph has no tensor image_tensor"


class TooLargeError(ApiError):
    """More bytes or more pixels than the limits allow."""

    status = 413
    meaning = "The picture has more bytes or pixels than the limits allow, or the body is too large."
    example = "Invalid input data: the picture has 100000x100000 pixels, and 50000000 are the most"
    is_new = True

    def __init__(self, why: str) -> None:
        super().__init__(f"Invalid input data: {why}")


class InvalidFormError(ApiError):
    """Something is missing from the request, or is not of the kind it should be."""

    status = 422
    meaning = "The form, the body or a parameter is not as documented."
    example = "Invalid input data: the form has no file `image`"

    def __init__(self, why: str) -> None:
        super().__init__(f"Invalid input data: {why}")


class TooManyRequestsError(ApiError):
    """More predictions at once than are taken."""

    status = 429
    meaning = "Too many predictions at once; try again after `Retry-After` seconds."
    example = "64 predictions are being made, and no more are taken at once; try again in a second"
    is_new = True
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class UnavailableError(ApiError):
    """No worker, no broker, or no answer in time."""

    status = 503
    meaning = "No worker is there, or none answered in time."
    example = "no worker is running; start one with `framebus consume`"


def load_problem(why: str) -> ApiError:
    """Why a model cannot be loaded, in the words that clients know."""
    if why.startswith(_NOT_FOUND):
        return ModelNotFoundError()
    is_known = why.startswith((_BROKEN_CONFIG, _NO_ENGINE, "Error loading model: "))
    return ModelConflictError(why if is_known else f"Error loading model: {why}")


def picture_problem(error: FrameError) -> ApiError:
    """Why a picture is refused."""
    refused = TooLargeError if isinstance(error, FrameTooLargeError) else InvalidInputError
    return refused(str(error))


def as_problem(error: Exception) -> ApiError:
    """The problem that an error of the other packages is; what is none of them is a bug, and raised again."""
    match error:
        case ApiError():
            return error
        case ModelError():
            return load_problem(str(error))
        case FrameError():
            return picture_problem(error)
        case TransportError():
            return UnavailableError(str(error))
        case RequestValidationError():
            return InvalidFormError(_first_complaint(error))
    raise error


def failure(message: str) -> dict[str, Any]:
    """The envelope of a failure."""
    return {"data": None, "error": message, "success": False}


def documented(*problems: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the problems that an endpoint may have."""
    return {
        problem.status: {
            "model": Failure,
            "description": problem.meaning,
            "content": {"application/json": {"example": failure(problem.example)}},
        }
        for problem in problems
    }


def answer_problems(app: FastAPI, *, legacy_status: bool) -> None:
    """Makes the app answer every expected error with the envelope.

    Args:
        app: The app.
        legacy_status: Answer 200 where the old service did.
    """

    async def answer(request: Request, error: Exception) -> JSONResponse:
        problem = as_problem(error)
        if isinstance(error, RequestValidationError) and _is_no_json(request, error):
            problem = InvalidFormError("the body is read as JSON with `Content-Type: application/json` only")
        request.scope[PROBLEM_SCOPE_KEY] = str(problem)
        status = 200 if legacy_status and not problem.is_new else problem.status
        return JSONResponse(failure(str(problem)), status, dict(problem.headers))

    async def answer_router(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if (
            error.status_code == InvalidInputError.status
        ):  # FastAPI could make nothing of the body, or not read it
            why = error.__cause__
            return await answer(request, why if isinstance(why, ApiError) else InvalidFormError(error.detail))
        request.scope[PROBLEM_SCOPE_KEY] = error.detail
        headers = dict(error.headers or {})
        # The router knows of one endpoint only, and a path may have several.
        if methods := app.openapi()["paths"].get(getattr(request.scope.get("route"), "path", None)):
            headers |= {"Allow": ", ".join(sorted(map(str.upper, methods)))} if "Allow" in headers else {}
        return JSONResponse(failure(error.detail), error.status_code, headers)

    for kind in (FramebusError, RequestValidationError):
        app.add_exception_handler(kind, answer)
    # No such path, or not with this method.
    app.add_exception_handler(HTTPException, answer_router)


def _is_no_json(request: Request, error: RequestValidationError) -> bool:
    is_json = request.headers.get("content-type", "").partition(";")[0].endswith("json")
    complaint = error.errors()[0]
    return not is_json and complaint["loc"] == ("body",) and complaint["type"] != "missing"


def _first_complaint(error: RequestValidationError) -> str:
    complaint = error.errors()[0]
    where = ".".join(str(part) for part in complaint["loc"])
    return f"{where}: {complaint['msg']}"

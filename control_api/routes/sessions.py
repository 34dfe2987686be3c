"""`/session`, `/login`, `/logout`: a browser uses a token without keeping it where scripts can read it."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from control_api.access import COOKIE, SESSION_S
from control_api.plane import Plane
from control_api.problems import InvalidFormError, TokenError, TooLargeError, documented
from control_api.routes.answers import enveloped
from control_api.schemas import LoggedIn, Login, Session, Success

router = APIRouter(tags=["access"])


@router.get("/session", response_model=Success[Session], responses=documented(TokenError))
def session(request: Request, plane: Plane) -> Response:
    """What this client may do; open to everybody."""
    return enveloped(
        {
            "scope": plane.access.of_request(request).name.lower(),
            "is_open": plane.access.is_open,
            "has_streams": plane.has_streams,
            "grafana_url": plane.settings.api.grafana_url,
        }
    )


@router.post(
    "/login",
    response_model=Success[LoggedIn],
    responses=documented(TokenError, TooLargeError, InvalidFormError),
)
def login(request: Request, body: Login, plane: Plane) -> Response:
    """Get a cookie for a token; it is good for twelve hours, on every replica."""
    scope = plane.access.of_token(body.token)
    response = enveloped({"scope": scope.name.lower()})
    response.set_cookie(
        COOKIE,
        plane.access.cookie(scope),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout", response_model=Success[None])
def logout() -> Response:
    """Give the cookie back."""
    response = enveloped(None)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response

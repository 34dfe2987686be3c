"""`/healthz`, `/readyz` and `/metrics`: for load balancers and Prometheus; open to everybody."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from control_api.plane import Plane
from control_api.schemas import Health

_UNAVAILABLE = {
    "model": Health,
    "description": "Not now.",
    "content": {
        "application/json": {"example": {"status": "unavailable", "reason": "listening for workers"}}
    },
}

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Health, responses={503: _UNAVAILABLE})
def healthz(plane: Plane) -> Response:
    """Whether this replica lives."""
    return _health(None if plane.failure is None else str(plane.failure))


@router.get("/readyz", response_model=Health, responses={503: _UNAVAILABLE})
def readyz(plane: Plane) -> Response:
    """Whether requests are welcome here: a broker is there, and what it knows was read."""
    return _health(plane.not_ready())


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
)
def metrics(plane: Plane) -> Response:
    """Metrics for Prometheus."""
    return Response(generate_latest(plane.registry), media_type=CONTENT_TYPE_LATEST)


def _health(trouble: str | None) -> Response:
    if trouble is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "unavailable", "reason": trouble}, 503)

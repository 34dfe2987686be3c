"""`/workers` and `/cameras`: who does the work, and what comes in."""

from fastapi import APIRouter
from starlette.responses import Response

from control_api.access import Read
from control_api.plane import Plane
from control_api.problems import TokenError, documented
from control_api.routes.answers import enveloped
from control_api.schemas import CameraView, Success, WorkerView

router = APIRouter(tags=["workers"], responses=documented(TokenError))


@router.get("/workers", name="workers", response_model=Success[list[WorkerView]])
def list_workers(plane: Plane, _: Read) -> Response:
    """The workers that live, and what runs on each."""
    views = [
        WorkerView.model_validate({**status.model_dump(), "heard_s_ago": round(age_s, 3)})
        for status, age_s in plane.workers.ages_s()
    ]
    return enveloped([view.model_dump(mode="json") for view in views])


@router.get("/cameras", name="cameras", response_model=Success[list[CameraView]])
def list_cameras(plane: Plane, _: Read) -> Response:
    """The cameras whose frames came within the last seconds, per model and worker."""
    views = [
        CameraView.model_validate({**camera.model_dump(), "worker": worker.worker})
        for worker in plane.workers.live()
        for camera in worker.cameras
    ]
    views.sort(key=lambda view: (view.camera, view.model, view.worker))
    return enveloped([view.model_dump(mode="json") for view in views])

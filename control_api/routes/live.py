"""`/live`: what cameras show, with what was detected, for viewers."""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from control_api.access import Read
from control_api.live import LiveFrame
from control_api.plane import Plane
from control_api.problems import (
    InvalidFormError,
    ModelNotFoundError,
    TokenError,
    TooLargeError,
    UnavailableError,
    documented,
)
from control_api.schemas import LiveRequest
from control_api.waiting import wait_until

_MAX_ANSWER_BYTES = 8 * 2**20
_FRAMES = {
    "description": "A part `detections` in JSON: by camera the `place` of its frame, its `message`, and "
    "whether there is a `picture`: then a file of that place's name follows.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"detections": {"type": "object"}},
                "additionalProperties": {"type": "string", "format": "binary"},
                "required": ["detections"],
            }
        }
    },
}

router = APIRouter(tags=["workers"])


@router.post(
    "/live",
    response_class=Response,
    responses={
        200: _FRAMES,
        **documented(TokenError, ModelNotFoundError, TooLargeError, InvalidFormError, UnavailableError),
    },
)
async def live(body: LiveRequest, plane: Plane, _: Read) -> Response:
    """The newest frames of cameras, each with the detections that belong to it.

    Answers as soon as a camera has a newer frame than the one named, and after `wait_s` at the latest. A
    camera has at most five frames per second here, and fewer where many are watched. The answer is bounded:
    cameras named first come first.
    """
    if not plane.has_streams:
        raise UnavailableError("no camera can be here: this process has no Kafka")
    watched = plane.live.watch(await plane.models.resolve_soon(body.model), body.cameras)

    def newer() -> dict[str, LiveFrame]:
        return watched.newer(body.cameras, _MAX_ANSWER_BYTES)

    await wait_until(lambda: bool(newer()) or watched.trouble is not None, body.wait_s)
    frames = newer()
    if not frames and watched.trouble is not None:
        raise UnavailableError(watched.trouble)
    return _form(frames)


def _form(frames: Mapping[str, LiveFrame]) -> Response:
    """Packs frames as a form, which a browser unpacks by itself (RFC 7578)."""
    boundary = secrets.token_hex(16)
    detections: dict[str, Any] = {
        camera: {
            "place": frame.place,
            "message": orjson.Fragment(frame.message),
            "picture": frame.picture is not None,
        }
        for camera, frame in frames.items()
    }
    parts = [
        _part(boundary, 'name="detections"', "application/json", orjson.dumps(detections)),
        *(
            _part(boundary, f'name="{frame.place}"; filename="frame"', frame.content_type, frame.picture)
            for frame in frames.values()
            if frame.picture is not None
        ),
    ]
    return Response(
        b"".join([*parts, f"--{boundary}--\r\n".encode()]),
        media_type=f"multipart/form-data; boundary={boundary}",
        headers={"Cache-Control": "no-store"},
    )


def _part(boundary: str, disposition: str, content_type: str, content: bytes) -> bytes:
    head = (
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n"
        f"Content-Type: {content_type}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n"

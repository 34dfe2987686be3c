"""What a camera is to do: its source, and what becomes of its pictures."""

import re
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from producer.camera_url import HTTP_SCHEMES, STREAM_SCHEMES, CameraUrl, scheme_of

MIN_FPS, MAX_FPS = 0.001, 10_000.0

_SCHEMES = sorted(HTTP_SCHEMES | STREAM_SCHEMES)


class Size(NamedTuple):
    """A picture's width and height in pixels."""

    width: int
    height: int


def _size(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value)):
        return Size(int(match[1]), int(match[2]))
    if isinstance(value, Size):
        return value
    raise ValueError("not a size such as 1280x720")


Rate = Annotated[float, Field(ge=MIN_FPS, le=MAX_FPS, allow_inf_nan=False)]
"""Pictures per second."""


class CameraSpec(BaseModel):
    """One camera, as the command line or a camera file describes it. Equal specs need no restart."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: str = Field(min_length=1, description="the camera's name on the bus")
    source: str = Field(min_length=1, repr=False, description="video file, directory, URL or webcam")
    fps: Rate | None = Field(None, description="of video files, directories, snapshots and webcams")
    loop: bool = Field(False, description="start files and directories again at their end")
    jpeg_quality: int | None = Field(None, ge=1, le=100, description="None: FRAMEBUS_PRODUCER__JPEG_QUALITY")
    resize: Annotated[Size, BeforeValidator(_size)] | None = Field(
        None, description="pictures that do not fit into WIDTHxHEIGHT are made smaller, keeping their aspect"
    )
    max_fps: Rate | None = Field(None, description="pictures beyond this rate are skipped")
    model: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,100}$", description="the one model that should see this camera"
    )

    @field_validator("source")
    @classmethod
    def _can_be_opened(cls, source: str) -> str:
        scheme = scheme_of(source)
        if scheme is not None:
            if scheme not in _SCHEMES:
                raise ValueError(f"{scheme}:// is no kind of camera; known are {', '.join(_SCHEMES)}")
            CameraUrl.parse(source)
        return source

    @model_validator(mode="after")
    def _streams_have_their_own_rate(self) -> "CameraSpec":
        if self.fps is not None and scheme_of(self.source) in STREAM_SCHEMES:
            raise ValueError("fps: a stream comes at its own rate; limit it with max_fps")
        return self

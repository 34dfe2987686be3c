"""The kinds of camera, and which of them reads which source."""

import re
from pathlib import Path

from framebus.settings import Settings
from producer.camera_spec import CameraSpec
from producer.camera_url import HTTP_SCHEMES, CameraUrl, scheme_of
from producer.cameras.camera import Camera
from producer.cameras.directory import PictureDirectory
from producer.cameras.ffmpeg import VideoFile, VideoStream
from producer.cameras.http import HttpCamera
from producer.cameras.webcam import Webcam

_DIRECTORY_FPS = 1.0
_WEBCAM = re.compile(r"webcam:(\d+)|(/dev/video\d+)")


def create_camera(spec: CameraSpec, settings: Settings) -> Camera:
    """Returns the camera for a source; nothing is opened yet."""
    source, timeout_s = spec.source, settings.producer.camera_timeout_s
    if webcam := _WEBCAM.fullmatch(source):
        return Webcam(Path(webcam[2] or f"/dev/video{webcam[1]}"), fps=spec.fps)
    scheme = scheme_of(source)
    if scheme in HTTP_SCHEMES:
        return HttpCamera(
            CameraUrl.parse(source),
            fps=spec.fps,
            timeout_s=timeout_s,
            max_picture_bytes=settings.topics.max_message_bytes,
        )
    if scheme is not None:
        return VideoStream(CameraUrl.parse(source), timeout_s=timeout_s)
    path = Path(source)
    if path.is_dir():
        return PictureDirectory(path, fps=_DIRECTORY_FPS if spec.fps is None else spec.fps)
    return VideoFile(path, fps=spec.fps)

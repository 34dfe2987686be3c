"""`framebus produce`: one producer process."""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framebus.cli.signals import stop_on_signals
from framebus.environment import load_settings
from framebus.errors import SettingsError
from framebus.logs import configure_logs

if TYPE_CHECKING:
    from producer.camera_spec import CameraSpec

_CAMERA = "--camera"


def _specs(cameras: Sequence[str], fps: float | None, loop: bool) -> "list[CameraSpec]":
    """Reads ID=SOURCE, so that a source may contain further equals signs."""
    from pydantic import ValidationError

    from producer.camera_file import duplicates
    from producer.camera_spec import CameraSpec

    specs: list[CameraSpec] = []
    for camera in cameras:
        camera_id, _, source = (part.strip() for part in camera.partition("="))
        if not camera_id or not source:
            raise typer.BadParameter(
                f"{camera!r} is not ID=SOURCE, e.g. gate=videos/gate.mp4", param_hint=_CAMERA
            )
        try:
            specs.append(CameraSpec(id=camera_id, source=source, fps=fps, loop=loop))
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise typer.BadParameter(f"camera {camera_id!r}: {reason}", param_hint=_CAMERA) from None
    if twice := duplicates(specs):
        raise typer.BadParameter(f"camera {twice[0]!r} is given twice", param_hint=_CAMERA)
    return specs


def _checked_fps(fps: float | None) -> float | None:
    from producer.camera_spec import MAX_FPS, MIN_FPS

    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:  # "nan" is a float too, and in no range
        raise typer.BadParameter(f"{fps:g} is not within {MIN_FPS:g} and {MAX_FPS:g} pictures per second")
    return fps


def _with_file(specs: "Sequence[CameraSpec]", file: Path | None) -> "list[CameraSpec]":
    """All cameras: those of the options, and those of the file as it is now.

    Raises:
        SettingsError: The file is wrong, or has a camera that an option has too.
    """
    from producer.camera_file import duplicates, read_camera_file

    cameras = [*specs, *(read_camera_file(file) if file is not None else ())]
    if twice := duplicates(cameras):
        raise SettingsError(f"camera {twice[0]!r} is in {file} and given with --camera too")
    return cameras


def produce(
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=SOURCE",
            help="A camera: its id, and a video file, a directory of JPEG, PNG and WebP pictures, a URL "
            "(rtsp://, rtsps://, http://, https://) or a webcam (webcam:0, /dev/video0). Repeat it for "
            "several cameras.",
        ),
    ] = None,
    cameras: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A YAML file of cameras, each with settings of its own; read again at SIGHUP.",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            callback=_checked_fps,
            help="Pictures per second of each --camera; by default a video's own rate, and 1 for a directory "
            "and for single pictures over HTTP. Faster than the broker takes them, the oldest are dropped "
            "and counted.",
        ),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Start each --camera that is a file or directory again at its end.")
    ] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames per camera, then end.")] = None,
    topic: Annotated[
        str | None, typer.Option(help="Where frames go; by default FRAMEBUS_TOPICS__FRAMES.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write what became of the frames as the last line of output.")
    ] = False,
) -> None:
    """Publish the frames of cameras at real pace, until they end or until told to stop.

    Exit code 1 says that a file or directory could not be read, though all others were.
    """
    if not camera and cameras is None:
        raise typer.BadParameter("give --camera ID=SOURCE, or --cameras FILE", param_hint=_CAMERA)
    specs = _specs(camera or (), fps, loop)
    all_cameras = _with_file(specs, cameras)
    from producer.app import Producer

    settings = load_settings(topics={} if topic is None else {"frames": topic})
    configure_logs(settings.log)

    changed = threading.Event()
    stop = stop_on_signals()
    if cameras is not None:
        signal.signal(signal.SIGHUP, lambda *_: changed.set())

    def reread() -> "list[CameraSpec] | None":
        if not changed.is_set():
            return None
        changed.clear()
        return _with_file(specs, cameras)

    producer = Producer(settings, all_cameras, max_frames=frames, reread=reread)
    summary = producer.run(stop)
    if as_json:
        typer.echo(json.dumps(summary.as_json(), ensure_ascii=False))
    code = 1 if summary.failures else 0
    if producer.hangs:
        # A thread that came back from FFmpeg while the interpreter takes itself down would abort the process.
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)

"""`framebus produce`: one producer process."""

import json
from typing import Annotated

import typer

from framebus.cli.signals import stop_on_signals
from framebus.logs import configure_logs
from framebus.settings import load_settings

_CAMERA = "--camera"
_MIN_FPS, _MAX_FPS = 0.001, 10_000.0


def _sources(cameras: list[str]) -> dict[str, str]:
    """Reads ID=SOURCE, so that a source may contain further equals signs."""
    sources: dict[str, str] = {}
    for camera in cameras:
        camera_id, _, source = (part.strip() for part in camera.partition("="))
        if not camera_id or not source:
            raise typer.BadParameter(
                f"{camera!r} is not ID=SOURCE, e.g. gate=videos/gate.mp4", param_hint=_CAMERA
            )
        if camera_id in sources:
            raise typer.BadParameter(f"camera {camera_id!r} is given twice", param_hint=_CAMERA)
        sources[camera_id] = source
    return sources


def _checked_fps(fps: float | None) -> float | None:
    if fps is not None and not _MIN_FPS <= fps <= _MAX_FPS:  # "nan" is a float too, and in no range
        raise typer.BadParameter(f"{fps:g} is not within {_MIN_FPS:g} and {_MAX_FPS:g} pictures per second")
    return fps


def produce(
    camera: Annotated[
        list[str],
        typer.Option(
            metavar="ID=SOURCE",
            help="A camera: its id, and a video file or a directory of JPEG, PNG and WebP pictures. "
            "Repeat it for several cameras.",
        ),
    ],
    fps: Annotated[
        float | None,
        typer.Option(
            callback=_checked_fps,
            help="Pictures per second and camera; by default a video's own rate, and 1 for a directory. "
            "Faster than the broker takes them, the oldest are dropped and counted.",
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start again at the end of a source.")] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames per camera, then end.")] = None,
    topic: Annotated[
        str | None, typer.Option(help="Where frames go; by default FRAMEBUS_TOPICS__FRAMES.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write what became of the frames as the last line of output.")
    ] = False,
) -> None:
    """Publish the frames of cameras at real pace, until they end or until told to stop."""
    sources = _sources(camera)
    from producer.app import Producer
    from producer.cameras import create_camera

    settings = load_settings(topics={} if topic is None else {"frames": topic})
    configure_logs(settings.log)
    cameras = {
        camera_id: create_camera(source, jpeg_quality=settings.producer.jpeg_quality, fps=fps)
        for camera_id, source in sources.items()
    }
    summary = Producer(settings, cameras, loop=loop, max_frames=frames).run(stop_on_signals())
    if as_json:
        typer.echo(json.dumps(summary.as_json(), ensure_ascii=False))

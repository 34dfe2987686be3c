"""Frames that detections tell of, with their boxes drawn: as pictures, as videos, or both."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import typer

from framebus import images, wire
from framebus.bus import Partition
from framebus.bus.kafka import KafkaLookup
from framebus.cli.annotated_video import AnnotatedVideo
from framebus.errors import FramebusError, FrameError
from framebus.frames import Image
from framebus.settings import KafkaSettings

_PICTURE_TIMEOUT_S = 5.0


class AnnotatedFrames:
    """Reads the frame of each message where it stands on the bus, draws its boxes and writes it.

    Args:
        kafka: Where the frames are.
        max_pixels: Larger frames are left out.
        pictures: Each frame becomes a JPEG file there, if wanted.
        videos: Each camera becomes an MP4 file there, one per model, if wanted.
        fps: Pictures per second of the videos.
    """

    def __init__(
        self, kafka: KafkaSettings, max_pixels: int, *, pictures: Path | None, videos: Path | None, fps: float
    ) -> None:
        self._frames = KafkaLookup(kafka)
        self._max_pixels = max_pixels
        self._pictures = pictures
        self._directory, self._fps = videos, fps
        self._videos: dict[tuple[str, str], AnnotatedVideo] = {}

    def write(self, message: Mapping[str, Any]) -> None:
        """Writes the frame of a detection message; says so if it cannot be had any more.

        Raises:
            TransportError: The bus refused for good.
            FramebusError: A file cannot be written.
        """
        source = message["source"]
        place = f"{source['topic']}-{source['partition']}-{source['offset']:06}"
        try:
            picture = self._draw(message)
        except FrameError as error:
            typer.echo(f"frame {place} is left out: {error}", err=True)
            return
        if picture is None:
            typer.echo(f"frame {place} is left out: its topic does not keep it any more", err=True)
            return
        if self._pictures is not None:
            camera = quote(message["sensorId"], safe="")
            path = self._pictures / f"{message['model']['name']}-{camera}-{place}.jpg"
            try:
                path.write_bytes(images.encode_jpeg(picture))
            except OSError as error:
                raise FramebusError(f"{path} cannot be written: {error.strerror}") from error
        if self._directory is not None:
            captured_at = datetime.fromisoformat(message["timestamp"])
            self._video(self._directory, message, captured_at).write(picture, captured_at)

    def close(self) -> None:
        """Completes the videos, and tells of each."""
        self._frames.close()
        for video in self._videos.values():
            video.close()
            line = f"{video.path}: {video.written} frames"
            if video.left_out:
                line += f"; {video.left_out} left out, for the camera is faster than --fps {self._fps:g}"
            typer.echo(line, err=True)

    def _draw(self, message: Mapping[str, Any]) -> Image | None:
        source = message["source"]
        partition = Partition(source["topic"], source["partition"])
        frame = self._frames.find(partition, source["offset"], _PICTURE_TIMEOUT_S)
        if frame is None:
            return None
        detections, labels = wire.detections_from_json(message)
        return images.draw(images.decode(frame.value, self._max_pixels), detections, labels)

    def _video(self, directory: Path, message: Mapping[str, Any], captured_at: datetime) -> AnnotatedVideo:
        model, camera_id = message["model"]["name"], message["sensorId"]
        if (model, camera_id) not in self._videos:
            # With its time, so that the next run does not overwrite this one's.
            name = f"{model}-{quote(camera_id, safe='')}-{captured_at:%Y%m%dT%H%M%SZ}.mp4"
            self._videos[model, camera_id] = AnnotatedVideo(directory / name, self._fps)
        return self._videos[model, camera_id]

"""Writes what is replayed to files: frames as pictures, detections as JSON lines."""

import hashlib
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from framebus import images
from framebus.bus import Record
from framebus.cli.moments import as_text
from framebus.cli.replay.reading import captured_time
from framebus.cli.replay.selection import camera_of
from framebus.cli.replay.tally import Tally, place_of
from framebus.errors import FramebusError, UndecodableFrameError
from framebus.wire import DETECTIONS_TYPE

INDEX = "frames.jsonl"
STANDARD_OUTPUT = Path("-")

_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
_NO_PICTURE = ".bin"
# File systems take names of 255 bytes.
_MAX_NAME_LENGTH = 200


class PictureFolder:
    """Writes each frame as a picture, in a folder of its camera, and one line about it to an index.

    A folder's pictures, in the order of their names, are its camera's in the order of capture: `framebus
    produce` publishes them again.

    Args:
        directory: Where; made if it is not there.
        tally: Learns of each frame once it is written.

    Raises:
        FramebusError: The directory cannot be written to, or has an index already.
    """

    def __init__(self, directory: Path, tally: Tally) -> None:
        self._directory = directory
        self._tally = tally
        self._folders: set[Path] = set()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._index = (directory / INDEX).open("xb")
        except FileExistsError as error:
            raise FramebusError(
                f"{directory} is no directory, or has frames of another replay; name a new directory"
            ) from error
        except OSError as error:
            raise _unwritable(directory, error) from error

    def __str__(self) -> str:
        return str(self._directory)

    def take(self, record: Record) -> None:
        """Writes a frame.

        Raises:
            FramebusError: It cannot be written.
        """
        camera = camera_of(record)
        path = Path(folder_name(camera), _file_name(record))
        folder = self._directory / path.parent
        try:
            if folder not in self._folders:
                folder.mkdir(exist_ok=True)
                self._folders.add(folder)
            (self._directory / path).write_bytes(record.value)
            self._index.write(orjson.dumps(_entry(record, camera, path), option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise _unwritable(self._directory / path, error) from error
        self._tally.add(len(record.value))

    def serve(self) -> None:
        """What was taken is written already."""

    def finish(self) -> None:
        """Writes what is buffered.

        Raises:
            FramebusError: It cannot be written.
        """
        try:
            self._index.flush()
        except OSError as error:
            raise _unwritable(self._directory / INDEX, error) from error

    def close(self) -> None:
        """Closes the index."""
        self._index.close()


class DetectionLines:
    """Writes each detection message as a line of JSON, as it is on the bus.

    Args:
        file: A new file; or `-`, standard output.
        tally: Learns of each message once it is written.

    Raises:
        FramebusError: The file is there already, or cannot be written.
    """

    def __init__(self, file: Path, tally: Tally) -> None:
        self._file = file
        self._tally = tally
        self._opened = ExitStack()
        try:
            self._lines = (
                sys.stdout.buffer if file == STANDARD_OUTPUT else self._opened.enter_context(file.open("xb"))
            )
        except FileExistsError as error:
            raise FramebusError(f"{file} is there already; name a new file, or remove it") from error
        except OSError as error:
            raise _unwritable(file, error) from error

    def __str__(self) -> str:
        return "standard output" if self._file == STANDARD_OUTPUT else str(self._file)

    def take(self, record: Record) -> None:
        """Writes a message; tells of a record that is none.

        Raises:
            FramebusError: It cannot be written.
        """
        try:
            if dict(record.headers).get("ce_type") != DETECTIONS_TYPE.encode():
                raise ValueError
            message = orjson.loads(record.value)
        except ValueError:
            self._tally.refuse(place_of(record), "it is no detection message of framebus")
            return
        try:
            self._lines.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
        except BrokenPipeError:  # whoever read standard output wants no more
            raise
        except OSError as error:
            raise _unwritable(self._file, error) from error
        self._tally.add(len(record.value))

    def serve(self) -> None:
        """What was taken is written already."""

    def finish(self) -> None:
        """Writes what is buffered.

        Raises:
            FramebusError: It cannot be written.
        """
        try:
            self._lines.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritable(self._file, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._opened.close()


def folder_name(camera: str) -> str:
    """A camera's folder: its id, with what no file's name may have as in a URL; anybody may choose an id."""
    name = quote(camera, safe="")
    if name.startswith(".") or name == INDEX:
        name = name.replace(".", "%2E")
    if len(name) > _MAX_NAME_LENGTH:
        name = f"{name[:_MAX_NAME_LENGTH]}-{hashlib.sha256(camera.encode()).hexdigest()[:12]}"
    return name


def _file_name(record: Record) -> str:
    partition = record.partition
    try:
        suffix = _SUFFIXES[images.content_type(record.value)]
    except UndecodableFrameError:
        suffix = _NO_PICTURE
    captured_at = as_text(captured_time(record)).replace("-", "").replace(":", "")
    return f"{captured_at}-{partition.topic[:_MAX_NAME_LENGTH]}-{partition.number}-{record.offset:09}{suffix}"


def _entry(record: Record, camera: str, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "camera": camera,
        "captured": as_text(captured_time(record)),
        "published": as_text(record.timestamp_ms),
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
        "bytes": len(record.value),
        "key": _text(record.key),
        "headers": [[name, _text(value)] for name, value in record.headers],
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _unwritable(path: Path, error: OSError) -> FramebusError:
    return FramebusError(f"{path} cannot be written: {error.strerror}")

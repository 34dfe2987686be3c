"""A YAML file of cameras."""

import difflib
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from yaml.constructor import ConstructorError

from framebus.errors import SettingsError
from producer.camera_spec import CameraSpec


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice. YAML takes the last: where a dash is missing, a camera is lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Reads a mapping."""
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ConstructorError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _CameraFile(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    cameras: list[CameraSpec] = Field(min_length=1)


def read_camera_file(path: Path) -> list[CameraSpec]:
    """Reads the cameras of a file.

    Raises:
        SettingsError: The file cannot be read or does not describe cameras; names file, camera and key, and
            never quotes a source, for it may hold a password.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise SettingsError(f"{path}: the camera file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: the camera file is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        # The text of the error itself quotes the line.
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise SettingsError(f"{where}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML: a character that YAML does not allow") from error
    try:
        cameras = _CameraFile.model_validate(content).cameras
    except ValidationError as error:
        lines = [f"{path}: {_in_words(problem, content)}" for problem in error.errors()]
        raise SettingsError("\n  ".join(["wrong cameras:", *lines])) from None
    if twice := duplicates(cameras):
        raise SettingsError(f"{path}: camera {twice[0]!r} is there twice; ids name cameras on the bus")
    return cameras


def duplicates(cameras: Sequence[CameraSpec]) -> list[str]:
    """The ids that more than one camera has."""
    counts = Counter(camera.id for camera in cameras)
    return [camera_id for camera_id, count in counts.items() if count > 1]


def _in_words(problem: ErrorDetails, content: Any) -> str:
    location = problem["loc"]
    if len(location) < 2:
        return "write a list of cameras under the key 'cameras', each with id and source"
    number = int(location[1])
    camera = content["cameras"][number]
    camera_id = camera.get("id") if isinstance(camera, dict) else None
    who = f"camera {number + 1}" if camera_id is None else f"camera {camera_id!r}"
    message = problem["msg"].removeprefix("Value error, ")
    if len(location) == 2:
        return f"{who}: {message if isinstance(camera, dict) else 'write its id and source as keys'}"
    key = str(location[2])
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, CameraSpec.model_fields, n=1)
        message = (
            f"no such key; did you mean {close[0]}?"
            if close
            else f"no such key; known are {', '.join(CameraSpec.model_fields)}"
        )
    return f"{who}: {key}: {message}"

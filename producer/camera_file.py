"""A YAML file of cameras."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from framebus.errors import SettingsError
from framebus.yaml_list import YamlList
from producer.camera_spec import CameraSpec

_FILE = YamlList(CameraSpec, noun="camera", name="id", needs="id and source")


def read_camera_file(path: Path) -> list[CameraSpec]:
    """Reads the cameras of a file.

    Raises:
        SettingsError: The file cannot be read or does not describe cameras; names file, camera and key, and
            never quotes a source, for it may hold a password.
    """
    cameras = _FILE.read(path)
    if twice := duplicates(cameras):
        raise SettingsError(f"{path}: camera {twice[0]!r} is there twice; ids name cameras on the bus")
    return cameras


def duplicates(cameras: Sequence[CameraSpec]) -> list[str]:
    """The ids that more than one camera has."""
    counts = Counter(camera.id for camera in cameras)
    return [camera_id for camera_id, count in counts.items() if count > 1]

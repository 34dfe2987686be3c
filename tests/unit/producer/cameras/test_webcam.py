"""What can be told without a webcam; nothing here shows that one works."""

from pathlib import Path

import numpy as np
import pytest

from framebus.errors import CameraError
from producer.cameras.webcam import Webcam, picture_of
from tests.pictures import jpeg, picture


def test_a_webcam_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    device = tmp_path / "video7"

    with pytest.raises(CameraError, match=rf"{device}: no such device; `v4l2-ctl --list-devices`"):
        next(Webcam(device).pictures())


def test_what_is_no_webcam_is_an_error_that_says_what_to_look_at(tmp_path: Path) -> None:
    device = tmp_path / "video7"
    device.write_bytes(b"a file")

    with pytest.raises(CameraError, match=rf"{device}: cannot be opened as a webcam; .*group `video`"):
        next(Webcam(device).pictures())


@pytest.mark.parametrize("shape", [(1, -1), (-1,), (1, -1, 1)])
def test_a_row_of_bytes_is_a_jpeg_file(shape: tuple[int, ...]) -> None:
    row = np.frombuffer(jpeg(), np.uint8).reshape(shape)

    assert picture_of(row).content == jpeg()


def test_pixels_become_rgb() -> None:
    rgb = picture(64, 48)

    np.testing.assert_array_equal(picture_of(rgb[:, :, ::-1].copy()).content, rgb)

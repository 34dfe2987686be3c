from pathlib import Path

import cv2
import pytest

from framebus.errors import CameraError, UndecodableFrameError
from producer.cameras.directory import PictureDirectory
from tests.pictures import jpeg, picture


def png(seed: int = 0) -> bytes:
    return cv2.imencode(".png", picture(seed=seed))[1].tobytes()


def webp(seed: int = 0) -> bytes:
    return cv2.imencode(".webp", picture(seed=seed))[1].tobytes()


def test_pictures_come_unchanged_in_the_order_of_their_names(tmp_path: Path) -> None:
    files = {"b.JPG": jpeg(seed=1), "a.jpeg": jpeg(seed=2), "d.WebP": webp(), "c.png": png()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "notes.txt").write_text("not a picture")

    pictures = list(PictureDirectory(tmp_path, fps=4).pictures())

    assert [picture.content for picture in pictures] == [files[name] for name in sorted(files)]
    assert [picture.lasts_s for picture in pictures] == [0.25] * 4


def test_what_has_no_readable_header_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "2.jpg").write_bytes(b"plain text")
    (tmp_path / "3.png").write_bytes(png()[:12])
    (tmp_path / "4.jpg").mkdir()
    (tmp_path / "5.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "6.jpg").write_bytes(jpeg())

    *damaged, last = PictureDirectory(tmp_path, fps=1).pictures()

    assert last.content == jpeg()
    assert [str(picture.content) for picture in damaged] == [
        f"{tmp_path / '1.jpg'}: not a JPEG, PNG or WebP image: the value is empty",
        f"{tmp_path / '2.jpg'}: not a JPEG, PNG or WebP image: the value starts with 70 6c 61 69 6e 20 74 65",
        f"{tmp_path / '3.png'}: the image/png header is cut off",
        f"{tmp_path / '4.jpg'}: cannot be read: Is a directory",
        f"{tmp_path / '5.jpg'}: cannot be read: No such file or directory",
    ]
    assert {type(picture.content) for picture in damaged} == {UndecodableFrameError}


def test_damage_behind_the_header_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:-100])

    assert [picture.content for picture in PictureDirectory(tmp_path, fps=1).pictures()] == [jpeg()[:-100]]


def test_a_directory_without_a_readable_picture_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"plain text")

    with pytest.raises(CameraError, match=rf"{tmp_path}: no picture .* put .*\.jpg"):
        list(PictureDirectory(tmp_path, fps=1).pictures())


def test_a_directory_that_is_gone_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=rf"{tmp_path / 'gone'}: .*No such file"):
        list(PictureDirectory(tmp_path / "gone", fps=1).pictures())

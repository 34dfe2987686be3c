import os
from collections.abc import Callable
from pathlib import Path

import pytest

from framebus.model_file import open_model_file


def test_a_file_is_opened_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")

    with open_model_file(file, max_bytes=5) as opened:
        assert opened.read() == b"12345"
    with pytest.raises(OSError, match="5 bytes, 4 is the most"):
        open_model_file(file, max_bytes=4)


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")

    with open_model_file(tmp_path / "link", max_bytes=5) as opened:
        assert opened.read() == b"12345"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "Not a file, but a pipe or a device"),
        (lambda path: path.symlink_to("/dev/null"), "Not a file, but a pipe or a device"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("x" * 300), "File name too long"),
        (Path.mkdir, "Is a directory"),
        (lambda path: None, "No such file or directory"),
    ],
    ids=["pipe", "device", "link to itself", "link to too long a name", "directory", "nothing"],
)
def test_what_is_no_file_is_refused_without_waiting_for_it(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    make(tmp_path / "file")

    with pytest.raises(OSError, match=says) as refusal:
        open_model_file(tmp_path / "file", max_bytes=100)

    assert refusal.value.filename in (tmp_path / "file", str(tmp_path / "file"))

from pathlib import Path

import pytest

from framebus.secret_file import read_secret


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" secret \n\n", " secret \n"),  # spaces and empty lines may be meant
        ("größe".encode(), "größe"),
    ],
)
def test_a_secret_is_read_without_the_line_break_at_its_end(
    tmp_path: Path, content: bytes, secret: str
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    assert read_secret(file) == secret


def test_a_link_such_as_platforms_mount_is_followed(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text("secret")
    (tmp_path / "token").symlink_to(tmp_path / "..data" / "token")

    assert read_secret(tmp_path / "token") == "secret"


def refusal(path: Path) -> str:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its words are what is looked at
        read_secret(path)
    assert refused.value.__cause__ is None
    return str(refused.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "the file is empty"), (b"\n", "the file is empty"), (b"caf\xe9", "the file is no text in UTF-8")],
)
def test_a_file_that_holds_no_secret_is_refused_with_its_name(
    tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    assert refusal(file) == f"={file}: {why}"


def test_a_file_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent") == f"={tmp_path / 'absent'}: No such file or directory"
    assert refusal(tmp_path) == f"={tmp_path}: Is a directory"
    assert refusal(Path(f"{tmp_path}/a\0b")).endswith("embedded null byte")


@pytest.mark.parametrize("path", ["hunter2hunter2hunter2", "hunter2\0", "x" * 5_000])
def test_what_could_be_the_secret_itself_is_not_shown(path: str) -> None:
    message = refusal(Path(path))

    assert path not in message
    assert "hunter2" not in message
    assert "write the full path of a file (what is set is not shown)" in message

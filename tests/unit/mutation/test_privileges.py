from pathlib import Path

import pytest

from tests.mutation.privileges import without_privileges


def test_what_may_not_be_read_cannot_be_read_even_by_the_superuser(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("secret")
    file.chmod(0)

    with without_privileges(), pytest.raises(PermissionError):
        file.read_text()

    file.chmod(0o400)
    assert file.read_text() == "secret"

from pathlib import Path

import pytest
from typer.testing import CliRunner

from framebus.cli import app
from framebus.errors import ModelError


def test_a_model_that_is_not_there_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", str(tmp_path / "models"))
    result = CliRunner().invoke(app, ["demo", "--model", "mine", "--output", str(tmp_path / "output")])
    assert isinstance(result.exception, ModelError)
    assert "Model not found: mine" in str(result.exception)


def test_an_output_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {"COLUMNS": "400", "TERM": "dumb"}
    done = CliRunner(env=environment).invoke(app, ["demo", "--output", str(tmp_path / "file" / "output")])

    assert done.exit_code == 2
    assert "Invalid value for --output" in done.stderr
    assert "Not a directory" in done.stderr

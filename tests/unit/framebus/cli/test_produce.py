import pytest
from typer.testing import CliRunner

from framebus.cli import app


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--camera"),
        (["--camera", "gate"], "'gate' is not ID=SOURCE"),
        (["--camera", "=gate.mp4"], "'=gate.mp4' is not ID=SOURCE"),
        (["--camera", " =gate.mp4"], "' =gate.mp4' is not ID=SOURCE"),
        (["--camera", "gate="], "'gate=' is not ID=SOURCE"),
        (["--camera", "gate=a.mp4", "--camera", "gate=b.mp4"], "camera 'gate' is given twice"),
        (["--camera", "gate=a.mp4", "--fps", "0"], "0 is not within 0.001 and 10000"),
        (["--camera", "gate=a.mp4", "--fps", "nan"], "nan is not within 0.001 and 10000"),
        (["--camera", "gate=a.mp4", "--frames", "0"], "--frames"),
    ],
)
def test_wrong_usage_is_an_error_that_says_what_is_wrong(options: list[str], complaint: str) -> None:
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["produce", *options])

    assert result.exit_code == 2
    assert complaint in result.stderr

import pytest
from typer.testing import CliRunner

from framebus.cli import app


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--topic", "a b"], "'a b' is no topic's name"),
        (["--topic", "frames.dead"], "frames.dead is no topic of frames"),
        (["--topic", "detections.ssd"], "detections.ssd is no topic of frames"),
        (["--model", "a/b"], "'a/b' is no model's name"),
    ],
)
def test_names_are_checked_before_a_broker_is_asked(options: list[str], hint: str) -> None:
    environment = {"COLUMNS": "400", "TERM": "dumb", "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = CliRunner(env=environment).invoke(app, ["topics", "create", *options])

    assert done.exit_code == 2
    assert hint in done.stderr

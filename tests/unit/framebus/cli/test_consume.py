import pytest
from typer.testing import CliRunner

from framebus.cli import app
from framebus.errors import SettingsError


@pytest.mark.parametrize(
    ("devices", "complaint"),
    [
        ("a", "'a' is no device"),
        ("0,,1", "'' is no device"),
        ("0,0", "GPU 0 is there twice"),
    ],
)
def test_wrong_devices_are_refused(devices: str, complaint: str) -> None:
    result = CliRunner().invoke(app, ["consume", "--devices", devices])

    assert isinstance(result.exception, SettingsError)
    assert f"--devices {devices}: {complaint}" in str(result.exception)


def test_ports_that_there_are_not_are_refused() -> None:
    result = CliRunner(env={"FRAMEBUS_CONSUMER__HTTP_PORT": "65534"}).invoke(
        app, ["consume", "--devices", "cpu,cpu,cpu"]
    )

    assert isinstance(result.exception, SettingsError)
    assert "FRAMEBUS_CONSUMER__HTTP_PORT=65534: 3 workers need the ports up to 65536" in str(result.exception)

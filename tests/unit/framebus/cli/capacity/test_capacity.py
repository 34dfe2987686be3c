import json

import pytest
from typer.testing import CliRunner, Result

from framebus.cli import app

WANTED = ("--cameras", "100", "--fps", "10", "--frame-kb", "80", "--consumer-fps", "400")


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["capacity", *WANTED, *options])


def test_the_table_tells_what_cameras_take() -> None:
    result = run("--even")

    assert result.exit_code == 0, result.output
    for words in ("1,000/s", "consumers", "partitions", "3 copies, one may be away"):
        assert words in result.output
    assert "FRAMEBUS_TOPICS__FRAMES_RETENTION_BYTES" in result.output
    assert "FRAMEBUS_TOPICS__FRAMES_RETENTION_BYTES" not in run("--even", "--retention", "1m").output


def test_json_has_what_was_asked_and_what_was_found() -> None:
    written = json.loads(run("--json", "--retention", "2h", "--spare", "0", "--outage", "0s").output)

    assert written["demand"]["frame_bytes"] == 80_000
    assert (written["demand"]["outage_s"], written["demand"]["catch_up_s"]) == (0, 1800)
    assert written["plan"]["frames_per_s"] == 1000
    hour = json.loads(run("--json", "--retention", "1h", "--spare", "0", "--outage", "0s").output)
    assert written["plan"]["retention_bytes"] == pytest.approx(2 * hour["plan"]["retention_bytes"], abs=1)
    assert written["plan"]["frames_disk_bytes"] > hour["plan"]["frames_disk_bytes"]


def test_retention_and_limits_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_TOPICS__FRAMES_RETENTION_MS", "60000")
    monkeypatch.setenv("FRAMEBUS_CONSUMER__MAX_DECODED_BYTES", str(2**20))
    found = json.loads(run("--json").output)["plan"]

    assert not found["is_cut_short"]
    assert found["consumer_memory_bytes"] == 17 * 2**20 + 64 * 80_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--catch-up", "0s"), "no consumer catches up in no time"),
        (("--outage", "soon"), "'soon' is no duration"),
        (("--retention", "1 day"), "is no duration"),
        (("--cameras", "0"), "--cameras"),
    ],
)
def test_what_makes_no_sense_is_refused(options: tuple[str, ...], words: str) -> None:
    result = run(*options)

    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pytest
import structlog

from framebus.logs import configure_logs, get_logger
from framebus.settings import LogSettings


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Reads what was logged as JSON since the last call."""

    def read() -> list[dict[str, Any]]:
        captured = capsys.readouterr()
        assert captured.out == ""
        return [json.loads(line) for line in captured.err.splitlines()]

    return read


Lines = Callable[[], list[dict[str, Any]]]


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_a_line_is_one_json_object_on_standard_error(
    lines: Lines, log_format: Literal["json", "auto"]
) -> None:
    configure_logs(LogSettings(format=log_format))

    get_logger("consumer").warning("dead letter", camera="größe\n2", offset=3)

    [line] = lines()
    logged_at = datetime.fromisoformat(line.pop("timestamp"))
    assert line == {
        "event": "dead letter",
        "program": "consumer",
        "level": "warning",
        "camera": "größe\n2",
        "offset": 3,
    }
    assert abs((datetime.now(UTC) - logged_at).total_seconds()) < 60


def test_a_logger_made_before_the_logs_were_set_up_obeys_them(lines: Lines) -> None:
    early = get_logger("early")
    configure_logs(LogSettings(format="json"))

    early.info("now")

    assert [line["event"] for line in lines()] == ["now"]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_not_written(
    lines: Lines, level: Literal["debug", "info", "warning", "error"], shown: list[str]
) -> None:
    configure_logs(LogSettings(level=level, format="json"))
    log = get_logger("consumer")

    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")

    assert [line["level"] for line in lines()] == shown


def fail(password: str) -> None:
    raise ValueError(f"no luck with {len(password)} letters")


def test_an_exception_carries_its_traceback_and_its_causes(lines: Lines) -> None:
    configure_logs(LogSettings(format="json"))

    try:
        try:
            fail("hunter2")
        except ValueError as error:
            raise RuntimeError("it ends here") from error
    except RuntimeError:
        get_logger("consumer").exception("the pipeline failed")

    [line] = lines()
    assert line["event"] == "the pipeline failed"
    assert line["level"] == "error"
    outer, cause = line["exception"]
    assert (outer["exc_type"], outer["exc_value"]) == ("RuntimeError", "it ends here")
    assert (cause["exc_type"], cause["exc_value"]) == ("ValueError", "no luck with 7 letters")
    assert [frame["name"] for frame in cause["frames"]][-1] == "fail"
    assert cause["frames"][-1]["filename"].endswith("test_logs.py")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values_of_variables(
    capsys: pytest.CaptureFixture[str], log_format: Literal["json", "console"]
) -> None:
    configure_logs(LogSettings(format=log_format))
    secret = "".join(["hun", "ter2"])

    try:
        fail(secret)
    except ValueError:
        get_logger("consumer").exception("failed")

    logged = capsys.readouterr().err
    assert "no luck with 7 letters" in logged
    assert "hunter2" not in logged


def test_values_that_json_lacks_are_written_as_text(lines: Lines) -> None:
    configure_logs(LogSettings(format="json"))

    get_logger("consumer").info("odd", data=b"\xff", shape=(1, 2), count=np.int64(3), error=ValueError("x"))

    [line] = lines()
    assert line["data"] == "b'\\xff'"
    assert line["shape"] == [1, 2]
    assert "3" in str(line["count"])
    assert line["error"] == "ValueError('x')"


def test_a_console_line_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(format="console"))

    get_logger("producer").info("camera opened", camera="cam-1")

    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert "camera opened" in line
    assert "camera=cam-1" in line
    assert "\x1b" not in line  # no colours where it is no terminal


def test_a_command_that_ends_by_itself_speaks_to_people_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str], lines: Lines
) -> None:
    configure_logs(LogSettings(), ends_by_itself=True)
    get_logger("tail").warning("broker away")
    assert "broker away" in (line := capsys.readouterr().err)
    assert not line.startswith("{")

    configure_logs(LogSettings(format="json"), ends_by_itself=True)
    get_logger("tail").warning("broker away")
    assert [line["event"] for line in lines()] == ["broker away"]


def test_what_is_bound_to_the_context_is_on_every_line(lines: Lines) -> None:
    configure_logs(LogSettings(format="json"))

    structlog.contextvars.bind_contextvars(worker="w-1")
    get_logger("consumer").info("hello")

    assert [line["worker"] for line in lines()] == ["w-1"]

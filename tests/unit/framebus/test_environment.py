"""Secrets and lists in the environment; what is common to all settings is tested in test_settings.py."""

import os
import traceback
from pathlib import Path

import pytest

from framebus.environment import load_settings
from framebus.errors import SettingsError

SECRET = "hunter2-hunter2-hunter2"
TOKENS = [("control", "worker_token"), ("api", "read_token"), ("api", "admin_token")]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith("FRAMEBUS_"):
            monkeypatch.delenv(variable)


def refusal() -> str:
    """What is said of the settings; no secret is in it, nor in its traceback."""
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
    return str(refused.value).removeprefix("wrong settings:\n  ")


def variable_of(group: str, name: str) -> str:
    return f"FRAMEBUS_{group}__{name}".upper()


@pytest.mark.parametrize(("group", "name"), TOKENS)
def test_a_token_is_given_by_itself_or_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: str, name: str
) -> None:
    assert getattr(getattr(load_settings(), group), name) is None
    variable = variable_of(group, name)

    monkeypatch.setenv(variable, SECRET)
    given = getattr(load_settings(), group)
    assert getattr(given, name).get_secret_value() == SECRET
    assert "hunter2" not in repr(given) + repr(load_settings())

    monkeypatch.delenv(variable)
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    assert getattr(getattr(load_settings(), group), name).get_secret_value() == SECRET


def test_a_group_in_json_may_name_a_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET)
    monkeypatch.setenv("FRAMEBUS_CONTROL", f'{{"worker_token_file": "{file}", "beat_interval_s": 2}}')

    control = load_settings().control

    assert control.worker_token is not None
    assert control.worker_token.get_secret_value() == SECRET
    assert control.beat_interval_s == 2


@pytest.mark.parametrize(("group", "name"), TOKENS)
def test_a_token_that_is_given_twice_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: str, name: str
) -> None:
    (tmp_path / "token").write_text(SECRET)
    variable = variable_of(group, name)
    monkeypatch.setenv(variable, SECRET)
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "token"))

    assert refusal() == f"{variable}_FILE: {name.upper()} is given too; keep one of them"


@pytest.mark.parametrize(("group", "name"), TOKENS)
def test_a_token_that_is_too_short_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: str, name: str
) -> None:
    variable = variable_of(group, name)
    monkeypatch.setenv(variable, "hunter2")
    message = refusal()
    assert message.startswith(f"{variable}: ")
    assert "at least 16" in message

    monkeypatch.delenv(variable)
    (tmp_path / "token").write_text("hunter2\n")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "token"))
    assert "at least 16" in refusal()


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAMEBUS_CONTROL__WORKER_TOKEN_FILE", str(tmp_path / "absent"))

    assert refusal() == (
        f"FRAMEBUS_CONTROL__WORKER_TOKEN_FILE={tmp_path / 'absent'}: No such file or directory"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAMEBUS_CONTROL__WORKER_TOKEN_FILE", SECRET),
        ("FRAMEBUS_CONTROL__WORKER_TOKENS", SECRET),
        ("FRAMEBUS_CONTROL_WORKER_TOKEN", SECRET),
        ("FRAMEBUS_WORKER_TOKEN", SECRET),
        ("FRAMEBUS_CONTROL", SECRET),
        ("FRAMEBUS_CONTROL", f'"{SECRET}"'),
        ("FRAMEBUS_CONTROL", f'["{SECRET}"]'),
        ("FRAMEBUS_CONTROL", f'{{"worker_token": ["{SECRET}"]}}'),
        ("FRAMEBUS_CONTROL", f'{{"worker_token": {{"value": "{SECRET}"}}}}'),
        ("FRAMEBUS_CONTROL", f'{{"token": "{SECRET}"}}'),
        ("FRAMEBUS_API", f'{{"admin_token": "{SECRET}", "port": "web"}}'),
        ("FRAMEBUS_API__ADMIN_TOKEN__", SECRET),
    ],
)
def test_no_token_is_shown_wherever_it_was_written_by_mistake(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    assert refusal()


def test_a_token_is_not_shown_when_another_setting_of_its_group_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRAMEBUS_CONTROL__WORKER_TOKEN", SECRET)
    monkeypatch.setenv("FRAMEBUS_CONTROL__BEAT_INTERVAL_S", "0")

    assert refusal() == "FRAMEBUS_CONTROL__BEAT_INTERVAL_S='0': Input should be greater than 0"


def test_origins_are_a_list_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_API__CORS_ORIGINS", '["https://a.example"]')

    assert load_settings().api.cors_origins == ["https://a.example"]


@pytest.mark.parametrize("value", ["https://a.example", "", "{}", "[1]"])
def test_what_is_no_list_of_origins_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FRAMEBUS_API__CORS_ORIGINS", value)

    assert "FRAMEBUS_API__CORS_ORIGINS" in refusal()


def test_settings_that_contradict_each_other_are_said_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_TOPICS__FRAMES", "frames.dead")

    with pytest.raises(SettingsError, match=r"FRAMEBUS_TOPICS: dead and frames are both 'frames\.dead'"):
        load_settings()

import json
import os
import traceback
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from framebus.cli import app
from framebus.client_options import LIBRDKAFKAS_OWN
from framebus.environment import load_settings
from framebus.errors import SettingsError

SECRET = "hunter2 größe {x}"
VARIABLE = "FRAMEBUS_KAFKA__OPTIONS__SASL_PASSWORD_FILE"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith("FRAMEBUS_"):
            monkeypatch.delenv(variable)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "password of {kafka}"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    return file


def refusal() -> str:
    """What is said of the settings, and of nothing else; no secret is in it, nor in its traceback."""
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
    return str(refused.value).removeprefix("wrong settings:\n  ")


@pytest.mark.parametrize("group", ["OPTIONS", "CONSUMER_OPTIONS", "PRODUCER_OPTIONS"])
@pytest.mark.parametrize("name", ["SASL_PASSWORD_FILE", "sasl.password.file"])
def test_an_option_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, secret: Path, group: str, name: str
) -> None:
    monkeypatch.setenv(f"FRAMEBUS_KAFKA__{group}__{name}", str(secret))

    assert getattr(load_settings().kafka, group.lower()) == {"sasl.password": SECRET}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAMEBUS_KAFKA", '{"options": {"sasl.username": "camera", "sasl.password.file": "%s"}}'),
        ("FRAMEBUS_KAFKA__OPTIONS", '{"sasl.username": "camera", "sasl.password.file": "%s"}'),
    ],
)
def test_a_json_object_may_name_files_too(
    monkeypatch: pytest.MonkeyPatch, secret: Path, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value % secret)

    assert load_settings().kafka.options == {"sasl.username": "camera", "sasl.password": SECRET}


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" secret \n\n", " secret \n"),  # spaces and empty lines may be meant
        (b"-----BEGIN KEY-----\nMC4\n-----END KEY-----\n", "-----BEGIN KEY-----\nMC4\n-----END KEY-----"),
        ("größe".encode(), "größe"),
    ],
)
def test_the_end_of_the_last_line_is_not_part_of_the_value(
    monkeypatch: pytest.MonkeyPatch, secret: Path, content: bytes, value: str
) -> None:
    secret.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(secret))

    assert load_settings().kafka.options["sasl.password"] == value


def test_a_file_may_be_named_from_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, secret: Path
) -> None:
    monkeypatch.chdir(secret.parent)
    monkeypatch.setenv(VARIABLE, secret.name)

    assert load_settings().kafka.options["sasl.password"] == SECRET


def test_a_file_that_is_not_there_is_refused_by_variable_and_name(
    monkeypatch: pytest.MonkeyPatch, secret: Path
) -> None:
    secret.unlink()
    monkeypatch.setenv(VARIABLE, str(secret))

    assert refusal() == f"{VARIABLE}={secret}: No such file or directory"


def test_a_directory_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))

    assert refusal() == f"{VARIABLE}={tmp_path}: Is a directory"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        ("hunter2".encode("utf-16"), "the file is no text in UTF-8"),
        (b"hunter2\xff", "the file is no text in UTF-8"),
    ],
)
def test_a_file_without_a_value_is_refused(
    monkeypatch: pytest.MonkeyPatch, secret: Path, content: bytes, says: str
) -> None:
    secret.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(secret))

    assert refusal() == f"{VARIABLE}={secret}: {says}"


@pytest.mark.parametrize("value", ["hunter2", "x" * 5_000 + "hunter2"])
def test_a_secret_in_place_of_a_file_name_is_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)

    message = refusal()

    assert message.startswith(f"{VARIABLE}: ")
    assert "write the full path of a file" in message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAMEBUS_KAFKA__OPTIONS__SASL_PASSWORD", "hunter2"),
        ("FRAMEBUS_KAFKA__OPTIONS", '{"sasl.password": "hunter2"}'),
        ("FRAMEBUS_KAFKA", '{"options": {"sasl.password": "hunter2"}}'),
    ],
)
def test_a_value_and_a_file_for_one_option_are_refused(
    monkeypatch: pytest.MonkeyPatch, secret: Path, variable: str, value: str
) -> None:
    monkeypatch.setenv(VARIABLE, str(secret))
    monkeypatch.setenv(variable, value)

    assert refusal() == f"{VARIABLE}: SASL_PASSWORD is given too; keep one of them"


def test_what_is_wrong_with_other_settings_is_said_beside_a_wrong_file(
    monkeypatch: pytest.MonkeyPatch, secret: Path
) -> None:
    secret.write_bytes(b"")
    monkeypatch.setenv(VARIABLE, str(secret))
    monkeypatch.setenv("FRAMEBUS_LOG__LEVEL", "loud")

    message = refusal()

    assert VARIABLE in message
    assert "FRAMEBUS_LOG__LEVEL='loud'" in message


@pytest.mark.parametrize("option", ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"])
def test_a_certificate_that_is_not_there_is_refused_by_variable_and_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str
) -> None:
    monkeypatch.setenv("FRAMEBUS_KAFKA__CONSUMER_OPTIONS", json.dumps({option: str(tmp_path / "absent.pem")}))

    variable = f"FRAMEBUS_KAFKA__CONSUMER_OPTIONS__{option.replace('.', '_').upper()}"
    assert refusal() == f"{variable}={tmp_path}/absent.pem: there is no such file, or it may not be read"


def test_authorities_may_be_those_of_the_system_or_of_a_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place in ("probe", str(tmp_path)):
        monkeypatch.setenv("FRAMEBUS_KAFKA__OPTIONS__SSL_CA_LOCATION", place)

        assert load_settings().kafka.options == {"ssl.ca.location": place}


@pytest.mark.parametrize("option", sorted(LIBRDKAFKAS_OWN))
def test_options_of_librdkafka_that_name_a_file_themselves_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv(f"FRAMEBUS_KAFKA__OPTIONS__{option.replace('.', '_').upper()}", "assertion")

    assert load_settings().kafka.options == {option: "assertion"}
    Producer({**load_settings().kafka.options, "bootstrap.servers": "127.0.0.1:9"})  # it knows the option


@pytest.mark.parametrize("single_first", [True, False])
def test_one_option_wins_over_the_same_one_in_the_json_object_in_any_order(
    monkeypatch: pytest.MonkeyPatch, single_first: bool
) -> None:
    variables = {
        "FRAMEBUS_KAFKA__OPTIONS__SASL_USERNAME": "single",
        "FRAMEBUS_KAFKA__OPTIONS": '{"sasl.username": "json", "client.id": "json"}',
    }
    for variable in sorted(variables, key=len, reverse=single_first):
        monkeypatch.setenv(variable, variables[variable])

    assert load_settings().kafka.options == {"sasl.username": "single", "client.id": "json"}


@pytest.mark.parametrize("value", ["123", '"quoted"', "null", "true", '{"a": 1}', "[1]", ""])
def test_a_value_is_taken_as_it_is_written(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FRAMEBUS_KAFKA__OPTIONS__SASL_PASSWORD", value)

    assert load_settings().kafka.options == {"sasl.password": value}


def test_a_secret_of_a_file_is_not_shown_with_the_settings(
    monkeypatch: pytest.MonkeyPatch, secret: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(secret))

    settings = load_settings()

    for shown in (repr(settings), str(settings), repr(settings.kafka), f"{settings.kafka}"):
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    "command", ["", "produce", "consume", "tail", "status", "topics create", "dead list", "dead replay"]
)
def test_help_shows_no_secret(monkeypatch: pytest.MonkeyPatch, secret: Path, command: str) -> None:
    monkeypatch.setenv("FRAMEBUS_KAFKA__OPTIONS__SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("FRAMEBUS_KAFKA__PRODUCER_OPTIONS__SSL_KEY_PASSWORD_FILE", str(secret))

    help_page = CliRunner().invoke(app, [*command.split(), "--help"])

    assert help_page.exit_code == 0
    assert "Usage: " in help_page.output
    assert "hunter2" not in help_page.output

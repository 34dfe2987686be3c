import os
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from framebus.environment import load_settings
from framebus.errors import SettingsError
from framebus.settings import Settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith("FRAMEBUS_"):
            monkeypatch.delenv(variable)


def refusal(**overrides: object) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(**overrides)
    return str(refused.value)


def test_without_an_environment_every_setting_has_its_default() -> None:
    settings = load_settings()

    assert settings == Settings()
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.models_dir == Path("models")
    assert settings.topics.frames == "frames"


def test_a_variable_sets_one_value_and_leaves_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", "elsewhere")
    monkeypatch.setenv("FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS", "a:1,b:2")
    monkeypatch.setenv("FRAMEBUS_CONSUMER__MAX_BATCH_DELAY_MS", "7.5")
    monkeypatch.setenv("FRAMEBUS_TENSORFLOW__GPU_MEMORY_GROWTH", "false")
    monkeypatch.setenv("FRAMEBUS_TENSORFLOW__VISIBLE_DEVICES", "")

    settings = load_settings()

    assert settings.models_dir == Path("elsewhere")
    assert settings.kafka.bootstrap_servers == "a:1,b:2"
    assert settings.kafka.group_id == "framebus"
    assert settings.consumer.max_batch_delay_ms == 7.5
    assert settings.consumer.decode_threads == 1
    assert settings.tensorflow.gpu_memory_growth is False
    assert settings.tensorflow.visible_devices == ""


def test_a_group_can_be_written_as_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_LOG", '{"level": "debug"}')
    monkeypatch.setenv("FRAMEBUS_LOG__FORMAT", "json")

    assert (load_settings().log.level, load_settings().log.format) == ("debug", "json")


def test_lower_case_variables_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("framebus_log__level", "error")

    assert load_settings().log.level == "error"


def test_overrides_win_over_the_environment_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_MODELS_DIR", "from-environment")
    monkeypatch.setenv("FRAMEBUS_CONSUMER__MODEL", "from-environment")
    monkeypatch.setenv("FRAMEBUS_CONSUMER__HTTP_PORT", "1234")

    settings = load_settings(models_dir=Path("override"), consumer={"model": "override"})

    assert settings.models_dir == Path("override")
    assert settings.consumer.model == "override"
    assert settings.consumer.http_port == 1234


def test_an_override_hides_a_wrong_variable_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_CONSUMER__HTTP_PORT", "none")

    assert load_settings(consumer={"http_port": 0}).consumer.http_port == 0


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("FRAMEBUS_CONSUMER__HTTP_PORT", "web", "valid integer"),
        ("FRAMEBUS_CONSUMER__HTTP_PORT", "65536", "less than or equal to 65535"),
        ("FRAMEBUS_CONSUMER__DECODE_THREADS", "0", "greater than or equal to 1"),
        ("FRAMEBUS_CONSUMER__MAX_BATCH_DELAY_MS", "-1", "greater than or equal to 0"),
        ("FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS", "", "at least 1 character"),
        ("FRAMEBUS_TENSORFLOW__GPU_MEMORY_GROWTH", "perhaps", "valid boolean"),
        ("FRAMEBUS_LOG__LEVEL", "INFO", "'debug', 'info', 'warning' or 'error'"),
        ("FRAMEBUS_TOPICS__MAX_MESSAGE_BYTES", "1", "greater than or equal to 100000"),
    ],
)
def test_a_wrong_value_is_refused_with_variable_value_and_what_is_right(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)

    message = refusal()

    assert f"{variable}={value!r}: " in message
    assert says in message


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_LOG__LEVEL", "loud")
    monkeypatch.setenv("FRAMEBUS_CONSUMER__HTTP_PORT", "web")

    message = refusal(producer={"jpeg_quality": 101})

    assert "FRAMEBUS_LOG__LEVEL='loud'" in message
    assert "FRAMEBUS_CONSUMER__HTTP_PORT='web'" in message
    assert "FRAMEBUS_PRODUCER__JPEG_QUALITY=101" in message


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("FRAMEBUS_MODEL_DIR", "FRAMEBUS_MODELS_DIR"),
        ("FRAMEBUS_CONSUMER_MODEL", "FRAMEBUS_CONSUMER__MODEL"),
        ("FRAMEBUS_CONSUMER__MAX_BATCH_DELAY", "FRAMEBUS_CONSUMER__MAX_BATCH_DELAY_MS"),
        ("FRAMEBUS_KAFKA__BOOTSTRAP_SERVER", "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS"),
        ("FRAMEBUS_CONSUMER__HTTP_PORT__", "FRAMEBUS_CONSUMER__HTTP_PORT"),
        ("FRAMEBUS_KAFKA_OPTIONS__SSL", "FRAMEBUS_KAFKA__OPTIONS"),
        ("framebus_log__levl", "FRAMEBUS_LOG__LEVEL"),
    ],
)
def test_a_mistyped_variable_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "1")

    assert refusal() == f"{variable.upper()} is no setting of framebus; did you mean {meant}?"


def test_an_unknown_variable_of_a_group_is_refused_with_those_of_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRAMEBUS_LOG__COLOUR", "red")

    assert refusal() == (
        "FRAMEBUS_LOG__COLOUR is no setting of framebus; known are FRAMEBUS_LOG__FORMAT, FRAMEBUS_LOG__LEVEL"
    )


def test_an_unknown_group_is_refused_with_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_WEBSITE__COLOUR", "red")

    message = refusal()

    assert message.startswith("FRAMEBUS_WEBSITE__COLOUR is no setting of framebus; known are ")
    assert "FRAMEBUS_CONSUMER, FRAMEBUS_CONTROL, FRAMEBUS_DELIVERY, FRAMEBUS_KAFKA, " in message


@pytest.mark.parametrize(("name", "value"), [("nonsense", 1), ("log", {"nonsense": 1})])
def test_an_unknown_override_is_refused_too(name: str, value: object) -> None:
    assert "NONSENSE is no setting of framebus; known are " in refusal(**{name: value})


def test_an_unknown_key_of_a_json_object_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRAMEBUS_LOG", '{"levels": "info"}')

    assert "FRAMEBUS_LOG__LEVELS is no setting of framebus; did you mean FRAMEBUS_LOG__LEVEL?" in refusal()


@pytest.mark.parametrize("variable", ["FRAMEBUS_KAFKA", "FRAMEBUS_LOG", "FRAMEBUS_KAFKA__OPTIONS"])
@pytest.mark.parametrize("value", ["", "{bad", "info", "5", '["a", "b"]'])
def test_what_is_no_json_object_is_refused_with_both_ways_to_write_one(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    message = refusal()

    assert f"{variable} is no JSON object (" in message
    assert f"""write one such as '{{"name": "value"}}', or one variable {variable}__<NAME> each""" in message


def test_variables_of_other_programs_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUSTER_LOG", "x")
    monkeypatch.setenv("MY_FRAMEBUS_LOG", "x")

    assert load_settings() == Settings()


@pytest.mark.parametrize("group", ["OPTIONS", "CONSUMER_OPTIONS", "PRODUCER_OPTIONS"])
def test_every_option_of_the_kafka_clients_can_be_written_in_three_ways(
    monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    monkeypatch.setenv(f"FRAMEBUS_KAFKA__{group}", '{"ssl.cipher.suites": "ALL", "linger.ms": 20}')
    monkeypatch.setenv(f"FRAMEBUS_KAFKA__{group}__SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv(f"FRAMEBUS_KAFKA__{group}__sasl.username", "me")
    monkeypatch.setenv(f"FRAMEBUS_KAFKA__{group}__LOG_LEVEL", "7")

    assert getattr(load_settings().kafka, group.lower()) == {
        "ssl.cipher.suites": "ALL",
        "linger.ms": "20",
        "security.protocol": "SSL",
        "sasl.username": "me",
        "log_level": "7",
    }


def test_one_option_wins_over_the_same_one_in_the_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_KAFKA__OPTIONS__SECURITY_PROTOCOL", "SSL")

    settings = load_settings(kafka={"options": {"client.id": "test"}})

    assert settings.kafka.options == {"security.protocol": "SSL", "client.id": "test"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAMEBUS_KAFKA__SASL_PASSWORD", "hunter2"),
        ("FRAMEBUS_KAFKA__OPTION__SASL_PASSWORD", "hunter2"),
        ("FRAMEBUS_KAFKA_OPTIONS__SASL_PASSWORD", "hunter2"),
        ("FRAMEBUS_SASL_PASSWORD", "hunter2"),
        ("FRAMEBUS_KAFKA__OPTIONS", '["sasl.password=hunter2"]'),
        ("FRAMEBUS_KAFKA__OPTIONS", '"sasl.password=hunter2"'),
        ("FRAMEBUS_KAFKA__OPTIONS", '{"sasl.password": "hunter2"'),
        ("FRAMEBUS_KAFKA", '["sasl.password", "hunter2"]'),
        ("FRAMEBUS_KAFKA", '{"option": {"sasl.password": "hunter2"}}'),
        ("FRAMEBUS_KAFKA", '{"options": ["sasl.password", "hunter2"]}'),
    ],
)
def test_no_password_is_shown_wherever_it_was_written_by_mistake(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_no_password_is_shown_when_another_value_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBUS_KAFKA__OPTIONS__SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("FRAMEBUS_KAFKA__PRODUCER_OPTIONS", '{"ssl.key.password": "hunter2"}')
    monkeypatch.setenv("FRAMEBUS_KAFKA__GROUP_ID", "")

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert "FRAMEBUS_KAFKA__GROUP_ID" in str(refused.value)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_settings_can_be_shown_without_the_options_of_the_clients() -> None:
    settings = load_settings(
        kafka={
            "options": {"sasl.password": "hunter2"},
            "consumer_options": {"ssl.key.pem": "hunter2"},
            "producer_options": {"sasl.oauthbearer.client.secret": "hunter2"},
        }
    )

    for shown in (repr(settings), str(settings), f"{settings.kafka}", repr(settings.kafka)):
        assert "hunter2" not in shown
        assert "127.0.0.1:9092" in shown
    assert settings.kafka.options["sasl.password"] == "hunter2"


def test_settings_cannot_be_changed_later() -> None:
    settings = load_settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.kafka.group_id = "another"  # type: ignore[misc]


def test_nobody_has_a_token_by_default() -> None:
    settings = load_settings()

    assert settings.control.worker_token is None
    assert (settings.api.read_token, settings.api.admin_token) == (None, None)
    assert settings.api.cors_origins == []
    assert settings.api.legacy_status is None


def test_ports_are_open_to_this_machine_alone_by_default() -> None:
    settings = load_settings()

    assert (settings.consumer.http_host, settings.api.host) == ("127.0.0.1", "127.0.0.1")
    assert settings.api.port == 4343


@pytest.mark.parametrize("address", ["http://10.0.0.7:9101", "https://worker.example", "http://[::1]:80"])
def test_the_address_of_a_worker_may_be_told(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("FRAMEBUS_CONSUMER__HTTP_ADDRESS", address)

    assert load_settings().consumer.http_address == address


@pytest.mark.parametrize(
    "address", ["worker:9101", "ftp://worker", "http://worker/path", "http://", "http://a b"]
)
def test_what_is_no_address_of_a_worker_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("FRAMEBUS_CONSUMER__HTTP_ADDRESS", address)

    assert f"FRAMEBUS_CONSUMER__HTTP_ADDRESS={address!r}: " in refusal()


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("control", {"beat_interval_s": 0}),
        ("control", {"beat_interval_s": 61}),
        ("consumer", {"load_attempts": 0}),
        ("consumer", {"max_waiting_predictions": 0}),
        ("api", {"load_timeout_s": 0}),
        ("api", {"predict_timeout_s": 0}),
        ("api", {"max_images": 0}),
        ("api", {"max_concurrent_requests": 0}),
        ("api", {"port": 65_536}),
        ("topics", {"commands": ""}),
        ("topics", {"workers": ""}),
    ],
)
def test_limits_of_control_that_make_no_sense_are_refused(group: str, values: dict[str, object]) -> None:
    [name] = values

    assert f"FRAMEBUS_{group}__{name}=".upper() in refusal(**{group: values})

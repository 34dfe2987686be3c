"""Options of the Kafka client, by librdkafka's names. Passwords and keys may stand in files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from framebus.secret_file import read_secret

_IN_FILE = ".file"

LIBRDKAFKAS_OWN = frozenset(
    {
        "sasl.oauthbearer.assertion.file",
        "sasl.oauthbearer.assertion.jwt.template.file",
        "sasl.oauthbearer.assertion.private.key.file",
    }
)
"""Options whose own names end so; librdkafka reads these files itself.

Source: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

_FILES = (
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
)
_NO_FILE = "probe"  # librdkafka's word for one of the places where systems keep their authorities

WRONG_OPTION = "client_option"
"""The type of pydantic's error for an option that is given wrongly; its message begins with the option."""


def _client_options(value: Any) -> Any:
    """Takes options in the manner of the environment too, `SASL_PASSWORD_FILE` for `sasl.password.file`.

    Returns:
        The options by librdkafka's names, each with its value: those given as files have been read.
    """
    if not isinstance(value, Mapping):
        return value
    # librdkafka has one option that is written with an underscore itself.
    options = {
        key if key == "log_level" else str(key).replace("_", "."): str(option)
        for key, option in value.items()
    }
    for name in [name for name in options if name.endswith(_IN_FILE) and name not in LIBRDKAFKAS_OWN]:
        option, path = name.removesuffix(_IN_FILE), Path(options.pop(name))
        if option in options:
            raise wrong_option(name, f": {_as_variable(option)} is given too; keep one of them")
        options[option] = _read(path, name)
    for name in _FILES:
        path_or_probe = options.get(name, _NO_FILE)
        # OpenSSL would say that something is wrong, and not with which file.
        if path_or_probe != _NO_FILE and not os.access(path_or_probe, os.R_OK):
            raise wrong_option(name, f"={path_or_probe}: there is no such file, or it may not be read")
    return options


ClientOptions = Annotated[dict[str, str], BeforeValidator(_client_options)]
"""librdkafka options by their own names, e.g. `{"security.protocol": "SSL"}`; some are secrets."""


def _read(path: Path, name: str) -> str:
    try:
        return read_secret(path)
    except ValueError as error:
        raise wrong_option(name, str(error)) from None


def wrong_option(name: str, what: str) -> PydanticCustomError:
    """What a validator raises for an option that is given wrongly; never shows what a secret is."""
    return PydanticCustomError(WRONG_OPTION, "{wrong}", {"wrong": f"{_as_variable(name)}{what}"})


def _as_variable(option: str) -> str:
    return option.replace(".", "_").upper()

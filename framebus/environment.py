"""Settings from environment variables: `FRAMEBUS_` in front, `__` between levels."""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr, ValidationError

from framebus.client_options import WRONG_OPTION
from framebus.errors import SettingsError
from framebus.settings import DELIMITER, PREFIX, ROUTES, RouteSettings, Settings


def load_settings(**overrides: Any) -> Settings:
    """Builds the settings from the environment.

    Args:
        **overrides: Values that win over the environment, by field name; groups as mappings.

    Raises:
        SettingsError: A variable is unknown or its value is wrong; says which, why, and what to write.
    """
    types = dict(_variables())
    _check_variables(types)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            variable = PREFIX + DELIMITER.join(str(part) for part in problem["loc"]).upper()
            # A value is shown only where no password can stand.
            if problem["loc"][0] == "routes" and len(problem["loc"]) > 1:
                problem["loc"] = problem["loc"][1:]
                lines += [f"{PREFIX}ROUTES: {line}" for line in ROUTES.in_words([problem])]
            elif variable not in types:
                lines.append(_unknown(variable, types))
            elif types[variable] == SecretStr | None:
                lines.append(f"{variable}: {problem['msg']} (what is set is not shown)")
            elif problem["type"] == "value_error":  # of a whole group, and it names what it quotes
                lines.append(f"{variable}: {problem['msg'].removeprefix('Value error, ')}")
            elif problem["type"] == WRONG_OPTION:
                lines.append(f"{variable}{DELIMITER}{problem['msg']}")
            elif _is_json(types[variable]):
                lines.append(_not_json(variable, types[variable], problem["msg"]))
            else:
                lines.append(f"{variable}={problem['input']!r}: {problem['msg']}")
        raise SettingsError("wrong settings:\n  " + "\n  ".join(lines)) from error


def _variables() -> Iterator[tuple[str, Any]]:
    """Every variable there is, with its type: single settings and whole groups."""
    for name, field in Settings.model_fields.items():
        yield PREFIX + name.upper(), field.annotation
        for child, child_field in getattr(field.annotation, "model_fields", {}).items():
            yield f"{PREFIX}{name}{DELIMITER}{child}".upper(), child_field.annotation


def _is_json(kind: Any) -> bool:
    return kind in (dict[str, str], list[str], list[RouteSettings] | None) or hasattr(kind, "model_fields")


def _check_variables(types: Mapping[str, Any]) -> None:
    """Refuses variables that are no setting, and groups and options that are not written as JSON."""
    single_options = tuple(variable + DELIMITER for variable in types if types[variable] == dict[str, str])
    for variable, value in os.environ.items():
        name = variable.upper()
        if not name.startswith(PREFIX) or name.startswith(single_options):
            continue
        if name not in types:
            raise SettingsError(_unknown(name, types))
        if _is_json(types[name]):
            try:
                json.loads(value)
            except ValueError as error:
                raise SettingsError(_not_json(name, types[name], str(error))) from error


def _not_json(variable: str, kind: Any, why: str) -> str:
    if kind == list[str]:
        return f"""{variable} is no JSON list ({why}); write one such as '["https://example.org"]'"""
    if variable == f"{PREFIX}ROUTES":
        return (
            f"{variable} is no JSON list of routes ({why}); write one such as "
            """'[{"topic": "frames", "models": ["pedestrian"]}]', or a file and its name as """
            f"{variable}_FILE"
        )
    return (
        f"{variable} is no JSON object ({why}); write one such as "
        f"""'{{"name": "value"}}', or one variable {variable}{DELIMITER}<NAME> each"""
    )


def _unknown(variable: str, types: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(variable, types, n=1, cutoff=0.85)
    group = variable.split(DELIMITER)[0] + DELIMITER
    siblings = [known for known in types if known.startswith(group)]
    known = siblings or [known for known in types if DELIMITER not in known]
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
    return f"{variable} is no setting of framebus; {hint}"

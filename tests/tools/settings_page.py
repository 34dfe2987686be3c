"""Writes docs/settings.md from the settings themselves: python -m tests.tools.settings_page."""

from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from framebus.settings import DELIMITER, PREFIX, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

_HEAD = """\
# Settings

Every program takes its settings from the environment. A wrong or unknown one is refused at start, with what
to write.

A whole group may also be written as one JSON object: `FRAMEBUS_TOPICS='{"partitions": 16}'`. librdkafka's
options are written by their own names, as JSON, or one by one with `_` for `.`:

    FRAMEBUS_KAFKA__OPTIONS='{"security.protocol": "SSL", "ssl.ca.location": "ca.pem"}'
    FRAMEBUS_KAFKA__CONSUMER_OPTIONS__SESSION_TIMEOUT_MS=30000

A secret may stand in a file: with `_FILE` (`.file` in JSON) behind its name, an option is what the file
holds, without the end of the last line. [Security](security.md) has more.

    FRAMEBUS_KAFKA__OPTIONS__SASL_PASSWORD_FILE=/run/secrets/kafka

This page is written by `python -m tests.tools.settings_page`.
"""


def render() -> str:
    """The page."""
    lines = [_HEAD, "## All programs", "", *_TABLE_HEAD]
    groups: dict[str, type[BaseModel]] = {}
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            groups[name] = field.annotation
        else:
            lines.append(_row(PREFIX + name.upper(), field))
    for name, group in groups.items():
        title = _TITLES.get(name, name.capitalize())
        lines += ["", f"## {title}", "", (group.__doc__ or "").strip(), "", *_TABLE_HEAD]
        for child, field in group.model_fields.items():
            lines.append(_row(f"{PREFIX}{name}{DELIMITER}{child}".upper(), field))
    return "\n".join(lines) + "\n"


_TITLES = {"api": "Control API", "tensorflow": "TensorFlow"}
_TABLE_HEAD = ("| variable | default | |", "| --- | --- | --- |")


def _row(variable: str, field: FieldInfo) -> str:
    default = "" if field.default in (None, {}, []) else f"`{field.default}`"
    return f"| `{variable}` | {default} | {field.description or ''} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")

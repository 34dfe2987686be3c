"""Writes docs/messages.md, the reference of all topics, out of docs/asyncapi.yaml and docs/schemas/.

python -m tests.tools.messages_page
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.contracts import DOCS, DOCUMENT, resolve

PAGE = DOCS / "messages.md"

_HEAD = """\
# Messages

Every topic, header and field. [The wire format](wire-format.md) explains them; [asyncapi.yaml](asyncapi.yaml)
and the JSON Schemas beside it say the same to tools, and tests hold them against what the programs publish.
Versions 1.x only ever add: pass over what you do not know.

This page is written by `python -m tests.tools.messages_page`.
"""


def render() -> str:
    """The page."""
    lines = [_HEAD]
    for channel in DOCUMENT["channels"].values():
        lines += [f"## {channel['title']}: `{channel['address']}`", "", _text(channel["summary"]), ""]
        for reference in channel["messages"].values():
            lines += _message(resolve(reference))
    return "\n".join(lines)


def _message(message: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {message['title']}", "", _text(message["summary"]), "")
    key = resolve(message["bindings"]["kafka"]["key"])
    yield from (f"**Key:** {_text(key['description'])}", "")
    if headers := resolve(message.get("headers", {})):
        yield from ("| header | always | |", "| --- | --- | --- |")
        yield from _rows(headers, "", headers.get("$defs", {}))
        yield ""
    payload = resolve(message["payload"])
    if "properties" in payload:
        yield from ("| field | always | |", "| --- | --- | --- |")
        yield from _rows(payload, "", payload.get("$defs", {}))
        yield ""
    else:
        yield from (f"**Value:** {_text(payload['description'])}", "")


def _rows(schema: Mapping[str, Any], prefix: str, definitions: Mapping[str, Any]) -> Iterator[str]:
    """A row for each field, and below it those of what it holds."""
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        inner, kind = _resolved(field, definitions)
        always = "yes" if name in required else ""
        words = [kind, _text(inner.get("description", "")), _example(inner)]
        yield f"| `{prefix}{name}` | {always} | {' '.join(word for word in words if word)} |"
        item = _resolved(inner["items"], definitions)[0] if "items" in inner else inner
        if "properties" in item:
            yield from _rows(item, f"{prefix}{name}{'[]' if 'items' in inner else ''}.", definitions)


def _resolved(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """A field's schema, and of what kind it is, in words."""
    if "$ref" in field:
        field = {**definitions[field["$ref"].rpartition("/")[2]], **field}
    kinds = [_resolved(one, definitions)[0] for one in field.get("anyOf", ())] or [field]
    named = [_kind(one) for one in kinds]
    return {**kinds[0], **field}, f"{' or '.join(filter(None, named))}:" if any(named) else ""


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    return str(schema.get("type", ""))


def _example(schema: Mapping[str, Any]) -> str:
    examples = schema.get("examples", ())
    return f"E.g. `{json.dumps(examples[0])}`." if examples else ""


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")

"""The contract in docs/asyncapi.yaml and docs/schemas, to hold messages against."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema_rs import Draft7Validator, Draft202012Validator

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT_FILE = DOCS / "asyncapi.yaml"
SCHEMA_FILES = sorted((DOCS / "schemas").glob("*.json"))


@cache
def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


DOCUMENT: dict[str, Any] = _read(DOCUMENT_FILE)

_DIALECTS = {
    Draft202012Validator: "https://json-schema.org/draft/2020-12/schema",
    Draft7Validator: "http://json-schema.org/draft-07/schema#",
}
_DEFINITIONS = "$defs"
# Headers of a dead letter that are not the frame's own.
_OF_DEAD_LETTERS = "fb_"

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A record as schemas see it.

    Attributes:
        key: As text; None if it has none.
        headers: As text, by name; of those with one name the last.
        payload: What is in the JSON value, or the bytes as text; None for a tombstone.
    """

    key: str | None
    headers: dict[str, str]
    payload: Any


def message_of(
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]] | None,
    *,
    is_json: bool,
) -> Message:
    """Reads a record as any subscriber would."""
    payload: Any = value
    if value is not None:
        payload = json.loads(value) if is_json else value.decode("latin-1")
    return Message(
        None if key is None else key.decode(errors="replace"),
        {name: (text or b"").decode(errors="replace") for name, text in headers or ()},
        payload,
    )


class Schema:
    """A schema, in its own dialect and in that of AsyncAPI; they have to agree.

    Args:
        schema: The schema.
        strict: Whether fields that it does not describe are wrong; subscribers have to pass over them.
    """

    def __init__(self, schema: Mapping[str, Any], *, strict: bool = False) -> None:
        chosen = _closed(schema) if strict else schema
        self._validators = [
            kind({**chosen, "$schema": dialect}, validate_formats=True) for kind, dialect in _DIALECTS.items()
        ]

    def problems(self, instance: Any) -> list[str]:
        """What is wrong, in words."""
        found = [
            [
                f"{'.'.join(map(str, error.instance_path))}: {error.message}"
                for error in one.iter_errors(instance)
            ]
            for one in self._validators
        ]
        assert bool(found[0]) == bool(found[1]), f"the dialects differ: {found}"
        return found[0]


class MessageContract:
    """What the document says of one message.

    Args:
        name: Its name in the document.
        strict: Whether headers and fields that are not described are wrong.
    """

    def __init__(self, name: str, *, strict: bool = False) -> None:
        self.name = name
        self.document: dict[str, Any] = DOCUMENT["components"]["messages"][name]
        self._is_dead_letter = name == "deadLetter"
        self._key = Schema(resolve(self.document["bindings"]["kafka"]["key"]))
        self._headers = Schema(resolve(self.document.get("headers", {"type": "object"})), strict=strict)
        self._payload = Schema(resolve(self.document["payload"]), strict=strict)

    @property
    def is_json(self) -> bool:
        """Whether the value is JSON."""
        return self.document.get("contentType") == "application/json"

    def problems(self, message: Message) -> list[str]:
        """What is wrong with a message."""
        key = [] if message.key is None else self._key.problems(message.key)
        headers = {
            name: text
            for name, text in message.headers.items()
            # The frame's own may be just what it died of.
            if not self._is_dead_letter or name.startswith(_OF_DEAD_LETTERS)
        }
        return [*key, *self._headers.problems(headers), *self._payload.problems(message.payload)]


def contracts_of(channel: str, *, strict: bool = False) -> list[MessageContract]:
    """What the document says of the messages of a channel."""
    names = [
        message["$ref"].rpartition("/")[2] for message in DOCUMENT["channels"][channel]["messages"].values()
    ]
    return [MessageContract(name, strict=strict) for name in names]


def resolve(node: Mapping[str, Any], file: Path = DOCUMENT_FILE) -> dict[str, Any]:
    """What a node is, or refers to, with the definitions beside it that it may refer to itself."""
    if "$ref" not in node:
        return dict(node)
    name, _, pointer = node["$ref"].partition("#")
    target = (file.parent / name) if name else file
    found = root = _read(target)
    for step in filter(None, pointer.split("/")):
        found = found[step]
    definitions = {_DEFINITIONS: root[_DEFINITIONS]} if _DEFINITIONS in root else {}
    return definitions | resolve(found, target)


def references(node: Any) -> Iterator[Mapping[str, Any]]:
    """All nodes inside a node that are references."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def leaves(node: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """The paths of all fields in a message, those of objects and lists included."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in children:
        yield (*path, step)
        yield from leaves(child, (*path, step))


def without(node: Any, path: FieldPath) -> Any:
    """A copy of a message that lacks a field."""
    copied, holder = _copied(node, path)
    del holder[path[-1]]
    return copied


def with_wrong_type(node: Any, path: FieldPath) -> Any:
    """A copy of a message with a field of another type."""
    copied, holder = _copied(node, path)
    value = holder[path[-1]]
    # A list instead of an object or nothing, an object instead of all else: JSON has no kinder mistakes.
    holder[path[-1]] = [17] if value is None or isinstance(value, dict) else {"a": 17}
    return copied


def _copied(node: Any, path: FieldPath) -> tuple[Any, Any]:
    copied = copy.deepcopy(node)
    holder = copied
    for step in path[:-1]:
        holder = holder[step]
    return copied, holder


def _closed(schema: Any) -> Any:
    """A copy that knows no fields but those it describes."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {name: _closed(child) for name, child in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], Mapping):
        closed["additionalProperties"] = False
    return closed

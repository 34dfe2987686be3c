"""YAML files that hold one list of things, such as cameras or routes."""

import difflib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from yaml.constructor import ConstructorError

from framebus.errors import SettingsError

Entry = TypeVar("Entry", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice. YAML takes the last: where a dash is missing, an entry is lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Reads a mapping."""
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ConstructorError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class YamlList(Generic[Entry]):
    """What stands in such a file: one list, under one key.

    Attributes:
        entry: The schema of an entry.
        noun: What an entry is, in the singular; with an s it is the list's key.
        name: The key that names an entry.
        needs: The keys that every entry needs, in words.
    """

    entry: type[Entry]
    noun: str
    name: str
    needs: str

    def read(self, path: Path) -> list[Entry]:
        """Reads a file.

        Raises:
            SettingsError: The file cannot be read or is not such a list; names file, entry and key, and never
                quotes a value, for it may hold a password.
        """
        content = self._parse(path)
        key = f"{self.noun}s"
        entries = content.get(key) if isinstance(content, dict) and len(content) == 1 else None
        if not isinstance(entries, list) or not entries:
            raise SettingsError(
                f"{path}: write a list of {key} under the key '{key}', and no other key; "
                f"each needs {self.needs}"
            )
        schema: TypeAdapter[list[Entry]] = TypeAdapter(list[self.entry])  # type: ignore[name-defined]
        try:
            return schema.validate_python(entries)
        except ValidationError as error:
            lines = [f"{path}: {line}" for line in self.in_words(error.errors(), entries)]
            raise SettingsError("\n  ".join([f"wrong {key}:", *lines])) from None

    def _parse(self, path: Path) -> Any:
        try:
            return yaml.load(path.read_text(encoding="utf-8"), _Loader)
        except OSError as error:
            raise SettingsError(f"{path}: the {self.noun} file cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"{path}: the {self.noun} file is not UTF-8 text") from error
        except yaml.MarkedYAMLError as error:
            # The text of the error itself quotes the line.
            mark = error.problem_mark
            where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
            raise SettingsError(f"{where}: not YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise SettingsError(f"{path}: not YAML: a character that YAML does not allow") from error

    def in_words(self, problems: list[ErrorDetails], entries: Sequence[Any] = ()) -> Iterator[str]:
        """What is wrong with a list: for each problem the entry, the key, and what to write.

        Args:
            problems: What pydantic found; each location begins with the entry's number.
            entries: The list; without it entries are called by their number.
        """
        for problem in problems:
            number = int(problem["loc"][0])
            entry = entries[number] if entries else None
            name = entry.get(self.name) if isinstance(entry, dict) else None
            who = f"{self.noun} {number + 1}" if name is None else f"{self.noun} {name!r}"
            yield f"{who}: {self._what(problem)}"

    def _what(self, problem: ErrorDetails) -> str:
        message = problem["msg"].removeprefix("Value error, ")
        if len(problem["loc"]) == 1:
            return f"write its {self.needs} as keys" if problem["type"] == "model_type" else message
        key = str(problem["loc"][1])
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(key, self.entry.model_fields, n=1)
            message = "no such key; " + (
                f"did you mean {close[0]}?" if close else f"known are {', '.join(self.entry.model_fields)}"
            )
        return f"{key}: {message}"

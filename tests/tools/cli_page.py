"""Writes docs/cli.md from the command line itself: python -m tests.tools.cli_page."""

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from framebus.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"

_HEAD = """\
# Command line

For those who look up a command: every command of `framebus`, with its arguments and options, as
`framebus COMMAND --help` has them too. Settings are not options but [environment variables](settings.md), the
same for every command.

Exit codes: 0, all went well; 1, it could not be done, and one line says what to mend; 2, wrong usage or
settings. A command with codes of its own says so. Programs that run until they are told to stop end well at
Ctrl-C and SIGTERM.

This page is written by `python -m tests.tools.cli_page`.
"""

_KINDS = {int: "NUMBER", float: "NUMBER", Path: "PATH"}


def commands(command: Any, path: str = "framebus") -> Iterator[tuple[str, Any]]:
    """Every command, and each group before what is in it."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            if not child.hidden:
                yield from commands(child, f"{path} {name}")


def render() -> str:
    """The page."""
    return "\n".join([_HEAD, *(_section(path, command) for path, command in commands(get_command(app)))])


def _section(path: str, command: Any) -> str:
    parameters = [one for one in command.params if not one.hidden]
    arguments = [_metavar(one) for one in parameters if isinstance(one, TyperArgument)]
    usage = " ".join([path, *(["COMMAND"] if isinstance(command, TyperGroup) else ()), *arguments])
    lines = [f"## {path}", "", f"`{usage}`", "", _prose(command.help or ""), ""]
    if parameters:
        lines += ["| | default | |", "| --- | --- | --- |", *map(_row, parameters), ""]
    return "\n".join(lines)


def _prose(text: str) -> str:
    """A docstring; its lines `column: meaning` become a list."""
    return re.sub(r"^(?=[a-z0-9_, ]+: )", "- ", inspect.cleandoc(text), flags=re.MULTILINE)


def _row(parameter: TyperArgument | TyperOption) -> str:
    is_option = isinstance(parameter, TyperOption)
    names = [*parameter.opts, *parameter.secondary_opts] if is_option else []
    metavar = _metavar(parameter)
    shown = ", ".join(f"`{f'{name} {metavar}'.strip()}`" for name in names) or f"`{metavar}`"
    remarks = [parameter.help or ""]
    if parameter.required:
        remarks.append("Required.")
    if is_option and parameter.multiple and "epeat" not in remarks[0]:
        remarks.append("May be repeated.")
    if parameter.envvar:
        remarks.append(f"Also from the environment: `{parameter.envvar}`.")
    return f"| {shown.replace('|', '/')} | {_default(parameter.default)} | {' '.join(remarks)} |"


def _metavar(parameter: TyperArgument | TyperOption) -> str:
    """What stands for the value; nothing where there is none."""
    if isinstance(parameter, TyperOption) and parameter.is_flag:
        return ""
    if parameter.metavar and (isinstance(parameter, TyperOption) or "." in parameter.metavar):
        return parameter.metavar
    annotation = parameter.type_descriptor.annotation
    [kind, *_] = [one for one in get_args(annotation) if one is not type(None)] or [annotation]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "/".join(str(member.value) for member in kind)
    if isinstance(parameter, TyperArgument):
        name = parameter.metavar or (parameter.name or "").upper()
        return f"[{name}]..." if parameter.nargs == -1 and not parameter.required else name
    return _KINDS.get(kind, "TEXT")


def _default(default: Any) -> str:
    if default is None or default is False or callable(default):
        return ""
    if isinstance(default, Enum):
        default = default.value
    if isinstance(default, list | tuple):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")

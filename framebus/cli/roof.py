"""The commands of `framebus` by name, each imported when it is asked for: the others cost nothing."""

from collections import UserDict
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Commands(UserDict[str, Any]):
    """Commands by their names, in the order in which help lists them.

    Args:
        names: Each is that of a module below `framebus.cli`, which has a function of that name, or a Typer
            called `app` with sub-commands.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names))

    def __getitem__(self, name: str) -> Any:
        if name in self.data and self.data[name] is None:
            module = import_module(f"framebus.cli.{name}")
            sub_commands = getattr(module, "app", None)
            if sub_commands is None:
                sub_commands = typer.Typer(add_completion=False)
                sub_commands.command(name)(getattr(module, name))
            self.data[name] = typer.main.get_command(sub_commands)
            self.data[name].name = name
        return super().__getitem__(name)


class Roof(TyperGroup):
    """The group of all commands."""

    names: tuple[str, ...] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands(self.names)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Their names alone."""
        return list(self.commands)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Completes a command's name without importing any of them: a key was pressed, and somebody waits."""
        self.commands = {name: TyperCommand(name) for name in self.commands}
        return super().shell_complete(ctx, incomplete)

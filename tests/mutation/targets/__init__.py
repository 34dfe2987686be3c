"""What is tried: a module each, with all that `Target` says."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Protocol, cast

from framebus.errors import FramebusError


@dataclass(frozen=True, slots=True)
class Input:
    """One input.

    Attributes:
        kind: How it was made.
        content: What it is: bytes, or something whose `repr` makes it again.
    """

    kind: str
    content: Any


class Target(Protocol):
    """A reader of what anybody may have written.

    Attributes:
        REFUSALS: The errors that its contract names.
        MOST_BYTES: How much address space an input may take that none before it took, used or not.
        make: Makes the input that follows from a random state.
        read: Reads its content, with a folder to write files to that is empty but for earlier input. Returns
            what came of it, alike for alike input. Raises one of the refusals, or an `AssertionError` if what
            was accepted is not what was promised.
    """

    REFUSALS: tuple[type[FramebusError], ...]
    MOST_BYTES: int
    make: Callable[[Random], Input]
    read: Callable[[Any, Path], object]


def target(name: str) -> Target:
    """The target of that name, imported only now: some need TensorFlow."""
    return cast(Target, import_module(f"{__name__}.{name}"))

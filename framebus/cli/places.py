"""Where a record stands on its topic, as users write it."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import typer

if TYPE_CHECKING:
    from framebus.frames import FramePosition

_PLACE = re.compile(r"([0-9]{1,9})/([0-9]{1,18})")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record stands on its topic; written as `<partition>/<offset>`."""

    partition: int
    offset: int

    @classmethod
    def of(cls, position: "FramePosition") -> Self:
        """The place of a record on the topic."""
        return cls(position.partition, position.offset)

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


def parse_place(text: str) -> Place:
    """Reads a place as it is listed.

    Raises:
        BadParameter: It is none.
    """
    if (found := _PLACE.fullmatch(text)) is None:
        raise typer.BadParameter(f"{text!r} is no place; write <partition>/<offset>, as `list` does: 3/17")
    return Place(int(found[1]), int(found[2]))

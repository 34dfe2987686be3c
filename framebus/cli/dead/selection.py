"""Which dead letters are meant: by their places, or by what is true of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import typer

from framebus.cli.printable import printable

if TYPE_CHECKING:
    from framebus.dead_letters import DeadLetter
    from framebus.frames import FramePosition

_PLACE = re.compile(r"([0-9]{1,9})/([0-9]{1,18})")
_AGO = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a dead letter stands on its topic; written as `<partition>/<offset>`."""

    partition: int
    offset: int

    @classmethod
    def of(cls, position: "FramePosition") -> Self:
        """The place of a record on the topic."""
        return cls(position.partition, position.offset)

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is true of the dead letters that are meant; what is empty is true of any.

    Attributes:
        models: The model that the frame was for.
        cameras: Its camera, as it is shown.
        reasons: Why it died.
        since: It died then or later.
    """

    models: Sequence[str]
    cameras: Sequence[str]
    reasons: Sequence[str]
    since: datetime | None

    @classmethod
    def of(
        cls,
        models: Sequence[str] | None,
        cameras: Sequence[str] | None,
        reasons: Sequence[str] | None,
        since: datetime | None,
    ) -> Self:
        """What the options say."""
        return cls(models or (), [printable(camera) for camera in cameras or ()], reasons or (), since)

    def __bool__(self) -> bool:
        return bool(self.models or self.cameras or self.reasons or self.since)

    @property
    def since_ms(self) -> int:
        """Milliseconds since 1970 of `since`; 0 if it is not given."""
        return 0 if self.since is None else int(self.since.timestamp() * 1000)

    def includes(self, letter: "DeadLetter") -> bool:
        """Whether a dead letter is meant."""
        return (
            (not self.models or letter.model in self.models)
            and (not self.cameras or printable(letter.camera_id) in self.cameras)
            and (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or (letter.died_at is not None and letter.died_at >= self.since))
        )


def parse_place(text: str) -> Place:
    """Reads a place as it is listed.

    Raises:
        BadParameter: It is none.
    """
    if (found := _PLACE.fullmatch(text)) is None:
        raise typer.BadParameter(f"{text!r} is no place; write <partition>/<offset>, as `list` does: 3/17")
    return Place(int(found[1]), int(found[2]))


def parse_since(text: str) -> datetime:
    """Reads `90s`, `10m`, `2h` or `3d` ago, or an RFC 3339 time.

    Raises:
        BadParameter: It is neither.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows `t` and `z`
        if moment.tzinfo is None:
            raise ValueError("it has no time zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time ({error}); write 90s, 10m, 2h, 3d or 2026-01-31T12:00:00Z"
        ) from error

"""Which dead letters are meant, by what is true of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

import typer

from framebus.cli.moments import as_milliseconds
from framebus.cli.printable import printable
from framebus.errors import FrameError

if TYPE_CHECKING:
    from framebus.dead_letters import DeadLetter


_REASONS = sorted({FrameError.reason, *(kind.reason for kind in FrameError.__subclasses__())})


def parse_reason(text: str) -> str:
    """Reads what a frame has died of.

    Raises:
        BadParameter: Nothing dies of that.
    """
    if text not in _REASONS:
        raise typer.BadParameter(f"frames do not die of {text!r}, but of {', '.join(_REASONS)}")
    return text


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
        return 0 if self.since is None else as_milliseconds(self.since)

    def includes(self, letter: "DeadLetter") -> bool:
        """Whether a dead letter is meant."""
        return (
            (not self.models or letter.model in self.models)
            and (not self.cameras or printable(letter.camera_id) in self.cameras)
            and (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or (letter.died_at is not None and letter.died_at >= self.since))
        )
